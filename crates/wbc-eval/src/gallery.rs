//! The combinations of attributes that occur among some cells, each with its caption.

use std::collections::BTreeMap;
use wbc_caption::{Grammar, GrammarOptions};
use wbc_core::{Annotation, AttributeSchema};

/// The distinct combinations of all attributes among completely annotated cells.
pub(crate) struct AttributeGallery {
    /// Rows that are completely annotated.
    pub(crate) rows: Vec<usize>,
    /// Per such row, the position of its combination.
    pub(crate) labels: Vec<u32>,
    /// Values per combination, in the schema's order.
    pub(crate) combinations: Vec<Vec<u8>>,
    /// Canonical caption per combination.
    pub(crate) texts: Vec<String>,
}

/// `None` where no cell is completely annotated.
pub(crate) fn attribute_gallery(schema: &AttributeSchema, annotations: &[&Annotation]) -> Option<AttributeGallery> {
    let grammar = Grammar::new(schema, GrammarOptions::default()).ok()?;
    let values = |a: &Annotation| -> Option<Vec<u8>> { a.values.iter().copied().collect() };
    let complete = annotations.iter().enumerate().filter(|(_, a)| a.is_complete());
    let (rows, of_rows): (Vec<usize>, Vec<Vec<u8>>) = complete.filter_map(|(i, a)| Some((i, values(a)?))).unzip();
    let mut positions: BTreeMap<&[u8], u32> = of_rows.iter().map(|values| (values.as_slice(), 0)).collect();
    positions.values_mut().zip(0..).for_each(|(position, i)| *position = i);
    let labels = of_rows.iter().map(|values| positions[values.as_slice()]).collect();
    let combinations: Vec<Vec<u8>> = positions.keys().map(|values| values.to_vec()).collect();
    let texts = combinations.iter().map(|values| grammar.canonical(&annotated(values))).collect();
    (!rows.is_empty()).then_some(AttributeGallery { rows, labels, combinations, texts })
}

/// A cell of nothing but these values.
pub(crate) fn annotated(values: &[u8]) -> Annotation {
    Annotation { cell_type: None, values: values.iter().copied().map(Some).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_combinations_share_a_text_and_incomplete_cells_have_none() {
        let schema = AttributeSchema::wbcatt();
        let n = schema.attributes.len();
        let (first, second) = (annotated(&vec![0; n]), annotated(&vec![1; n]));
        let mut incomplete = second.clone();
        incomplete.values[3] = None;
        let found = attribute_gallery(&schema, &[&second, &incomplete, &first, &second]).unwrap();
        assert_eq!((found.rows, found.labels), (vec![0, 2, 3], vec![1, 0, 1]));
        assert_eq!(found.combinations, [vec![0; n], vec![1; n]]);
        assert!(found.texts.len() == 2 && found.texts[0] != found.texts[1]);
        assert!(attribute_gallery(&schema, &[&incomplete]).is_none());
    }
}
