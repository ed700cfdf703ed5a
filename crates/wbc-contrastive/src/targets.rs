use crate::TrainError;
use burn::tensor::{Device, Tensor, TensorData};
use wbc_core::{Annotation, AttributeSchema, CellType, Fact, PromptSet, PromptSets, TYPE_FACT};

/// Facts as small numbers: the type first, then the attributes of a schema, each a list of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactSpace {
    types: Vec<CellType>,
    schema: AttributeSchema,
}

/// A caption's claim about a measurement: column, stated value, tolerance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeasuredFact {
    /// Column of the measurement.
    pub column: usize,
    /// Power of the pixel size in it: such a claim can only be judged where that size is known.
    pub pixel_power: i32,
    /// Stated value.
    pub value: f64,
    /// Largest difference that counts as true.
    pub tolerance: f64,
}

impl FactSpace {
    /// A space over these candidate types and attributes.
    pub fn new(types: Vec<CellType>, schema: AttributeSchema) -> Self {
        Self { types, schema }
    }

    /// Candidate types.
    pub fn types(&self) -> &[CellType] {
        &self.types
    }

    /// Attributes.
    pub fn schema(&self) -> &AttributeSchema {
        &self.schema
    }

    /// Number of facts: the type and all attributes.
    pub fn len(&self) -> usize {
        1 + self.schema.attributes.len()
    }

    /// Never: the type is always there.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Number of values per fact.
    pub fn sizes(&self) -> Vec<usize> {
        std::iter::once(self.types.len()).chain(self.schema.attributes.iter().map(|a| a.values.len())).collect()
    }

    /// Value per fact of an annotation, `-1` where unknown or outside the space.
    pub fn encode(&self, annotation: &Annotation) -> Vec<i16> {
        let cell_type = annotation.cell_type.as_ref().and_then(|t| self.types.iter().position(|known| known == t));
        let attributes = annotation.values.iter().map(|v| v.map_or(-1, i16::from));
        std::iter::once(cell_type.map_or(-1, |t| t as i16)).chain(attributes).collect()
    }

    /// Value per fact that a caption asserts, `-1` where it says nothing. Measurements are handled apart.
    ///
    /// # Errors
    /// [`TrainError::Data`] for a type, attribute or value outside the space.
    pub fn encode_facts(&self, facts: &[Fact]) -> Result<Vec<i16>, TrainError> {
        let mut codes = vec![-1; self.len()];
        for fact in facts {
            match fact {
                Fact::Type { value } => {
                    let i = self.types.iter().position(|t| t == value).ok_or_else(|| TrainError::Data {
                        cause: format!("a caption asserts the type `{value}`, which is no candidate"),
                    })?;
                    codes[0] = i as i16;
                }
                Fact::Attribute { name, value } => {
                    let (a, v) = self.schema.locate(name, value)?;
                    codes[a + 1] = v as i16;
                }
                Fact::Measurement { .. } => {}
            }
        }
        Ok(codes)
    }

    /// The prompts of this space in its order: one list per value, fact by fact.
    ///
    /// # Errors
    /// [`TrainError::Data`] when the prompt sets have other facts or values, or none for a value.
    pub fn prompts<'p>(&self, sets: &'p PromptSets) -> Result<Vec<Vec<&'p [String]>>, TrainError> {
        let names = std::iter::once(TYPE_FACT).chain(self.schema.attributes.iter().map(|a| a.name.as_str()));
        let types = self.types.iter().map(CellType::as_str).collect();
        let values = self.schema.attributes.iter().map(|a| a.values.iter().map(|v| v.name.as_str()).collect());
        names
            .zip(std::iter::once(types).chain(values))
            .map(|(name, values): (&str, Vec<&str>)| {
                let whole = |s: &&PromptSet| s.values == values && s.prompts.len() == values.len();
                let set = sets.get(name).filter(whole).filter(|s| !s.prompts.iter().any(Vec::is_empty));
                let set = set.ok_or_else(|| TrainError::Data {
                    cause: format!("prompts for `{name}` are missing, have other values, or none for a value"),
                })?;
                Ok(set.prompts.iter().map(Vec::as_slice).collect())
            })
            .collect()
    }
}

/// Which image goes with which caption: positive, negative, or unknown.
#[derive(Clone, Debug, PartialEq)]
pub struct PairTargets {
    n_images: usize,
    n_captions: usize,
    positive: Vec<f32>,
    known: Vec<f32>,
}

impl PairTargets {
    /// From row-major `[n_images, n_captions]` lists: `positive` 1 or 0; `known` 0 where the pair must not count.
    ///
    /// # Panics
    /// If a list has another length.
    pub fn from_rows(n_images: usize, n_captions: usize, mut positive: Vec<f32>, known: Vec<f32>) -> Self {
        assert_eq!((positive.len(), known.len()), (n_images * n_captions, n_images * n_captions));
        positive.iter_mut().zip(&known).for_each(|(p, k)| *p *= k);
        Self { n_images, n_captions, positive, known }
    }

    /// From facts: a caption is positive for every image whose annotation satisfies all it asserts, negative for those
    /// that contradict it, unknown otherwise. `codes` and `asserted` come from a [`FactSpace`]; `measured(image, claim)`
    /// tells whether a claim about a measurement holds.
    pub fn from_facts(
        codes: &[&[i16]],
        asserted: &[(Vec<i16>, Vec<MeasuredFact>)],
        measured: impl Fn(usize, &MeasuredFact) -> Option<bool>,
    ) -> Self {
        let (mut positive, mut known) = (Vec::new(), Vec::new());
        for (image, code) in codes.iter().enumerate() {
            for (claims, numbers) in asserted {
                let mut verdict = Some(true);
                let told = code.iter().zip(claims).filter(|(_, claim)| **claim >= 0);
                for holds in told
                    .map(|(own, claim)| (*own >= 0).then_some(own == claim))
                    .chain(numbers.iter().map(|n| measured(image, n)))
                {
                    match holds {
                        Some(true) => {}
                        Some(false) => {
                            verdict = Some(false);
                            break;
                        }
                        None => verdict = None,
                    }
                }
                positive.push(f32::from(u8::from(verdict == Some(true))));
                known.push(f32::from(u8::from(verdict.is_some())));
            }
        }
        Self { n_images: codes.len(), n_captions: asserted.len(), positive, known }
    }

    /// `positive` and `known`, both `[n_images, n_captions]`, on the untaped device.
    pub(crate) fn tensors(&self, device: &Device) -> (Tensor<2>, Tensor<2>) {
        let device = device.clone().inner();
        let tensor =
            |v: &Vec<f32>| Tensor::from_data(TensorData::new(v.clone(), [self.n_images, self.n_captions]), &device);
        (tensor(&self.positive), tensor(&self.known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caption_fits_every_cell_that_satisfies_all_it_says() {
        let cells: [&[i16]; 3] = [&[0, 1, 2], &[0, 1, -1], &[1, 1, 2]];
        let captions = [(vec![0, -1, 2], vec![]), (vec![-1, 1, -1], vec![])];
        let targets = PairTargets::from_facts(&cells, &captions, |_, _| None);
        assert_eq!(targets.positive, [1.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
        assert_eq!(targets.known, [1.0, 1.0, 0.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn a_stated_number_must_hold_too() {
        let cells: [&[i16]; 2] = [&[0], &[0]];
        let claim = MeasuredFact { column: 0, pixel_power: 0, value: 0.6, tolerance: 0.05 };
        let diameters = [0.62, 0.9];
        let targets = PairTargets::from_facts(&cells, &[(vec![0], vec![claim])], |i, c| {
            Some((diameters[i] - c.value).abs() <= c.tolerance)
        });
        assert_eq!(targets.positive, [1.0, 0.0]);
    }

    #[test]
    fn annotations_and_captions_share_one_code() {
        let schema = AttributeSchema::wbcatt();
        let space = FactSpace::new(vec![CellType::new("basophil"), CellType::new("monocyte")], schema.clone());
        let mut cell = Annotation::unknown(&schema);
        cell.cell_type = Some(CellType::new("monocyte"));
        cell.set(&schema, "cell_size", "small").unwrap();
        assert_eq!(space.encode(&cell), space.encode_facts(&cell.facts(&schema)).unwrap());
        assert!(space.encode_facts(&[Fact::Type { value: CellType::new("platelet") }]).is_err());
    }
}
