//! The measured evidence on real cells; needs WBC_CLIP_DATA.
#![expect(clippy::print_stderr, reason = "a test that is skipped says so, and what it measured")]

use crate::TrainingReference;
use ndarray::Array2;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wbc_contrastive::FactSpace;
use wbc_core::{Annotation, AttributeSchema, CellType, CellViewer, Limits, read_image};
use wbc_encoders::MeasurementStatistics;
use wbc_morphology::{CanonicalOptions, CanonicalViewer, VoteSegmenter};

/// Every n-th row of a WBCAtt table.
pub(crate) fn cells(root: &Path, split: &str, every: usize) -> Vec<(PathBuf, Annotation)> {
    let schema = AttributeSchema::wbcatt();
    let table = std::fs::read_to_string(root.join(format!("wbcatt/pbc_attr_v1_{split}.csv"))).unwrap();
    let mut lines = table.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let at = |name: &str| header.iter().position(|h| *h == name).unwrap();
    lines
        .step_by(every)
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            let mut a = Annotation::unknown(&schema);
            a.cell_type = Some(CellType::new(fields[at("label")]));
            schema.attributes.iter().for_each(|x| a.set(&schema, &x.name, fields[at(&x.name)]).unwrap());
            (root.join("pbc").join(fields[at("path")]), a)
        })
        .collect()
}

/// Measurements of cells, NaN where undefined; two threads.
pub(crate) fn measured(viewer: &CanonicalViewer, cells: &[(PathBuf, Annotation)]) -> Array2<f32> {
    let row = |path: &Path| -> Vec<f32> {
        let view = viewer.view(&read_image(path, &Limits::default()).unwrap());
        view.measurements.unwrap().into_iter().map(|v| v.map_or(f32::NAN, |v| v as f32)).collect()
    };
    let rows = |part: &[(PathBuf, Annotation)]| part.iter().flat_map(|(path, _)| row(path)).collect::<Vec<f32>>();
    let (a, b) = cells.split_at(cells.len() / 2);
    let all = std::thread::scope(|scope| {
        let second = scope.spawn(|| rows(b));
        let mut all = rows(a);
        all.extend(second.join().unwrap());
        all
    });
    Array2::from_shape_vec((cells.len(), all.len() / cells.len()), all).unwrap()
}

pub(crate) fn space() -> FactSpace {
    let types = ["basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil"].map(CellType::new).to_vec();
    FactSpace::new(types, AttributeSchema::wbcatt())
}

#[test]
fn measurements_alone_tell_real_cells_apart_better_than_the_most_frequent_value() {
    let Some(root) = std::env::var_os("WBC_CLIP_DATA").map(PathBuf::from) else {
        eprintln!("skipped: WBC_CLIP_DATA is not set");
        return;
    };
    let options = CanonicalOptions { with_pixels: false, ..CanonicalOptions::default() };
    let viewer = CanonicalViewer::new(Arc::new(VoteSegmenter::default()), options).unwrap();
    let (train, val) = (cells(&root, "train", 15), cells(&root, "val", 8));
    let (rows, others) = (measured(&viewer, &train), measured(&viewer, &val));
    let schema = viewer.spec().measurements.clone().unwrap();
    let statistics = MeasurementStatistics::compute(&schema, rows.as_slice().unwrap()).unwrap();
    let annotations: Vec<&Annotation> = train.iter().map(|c| &c.1).collect();
    let space = space();
    let scales = vec![Some(1.0); train.len()];
    let reference = TrainingReference::compute(&space, &statistics, rows.view(), &scales, &annotations).unwrap();

    let names: Vec<&str> =
        std::iter::once("type").chain(space.schema().attributes.iter().map(|a| a.name.as_str())).collect();
    let (mut voted, mut usual) = (Vec::new(), Vec::new());
    for (i, name) in names.iter().enumerate() {
        let fact = reference.fact(name).unwrap();
        let most = (0..fact.values.len()).max_by_key(|v| fact.groups[*v].cells).unwrap();
        let (mut right, mut most_right) = (0, 0);
        for (row, (_, annotation)) in others.rows().into_iter().zip(&val) {
            let truth = space.encode(annotation)[i] as usize;
            let (values, mask) = statistics.rows(&row.to_vec(), &[Some(1.0)]);
            let vote = reference.vote(name, &values, &mask);
            // a cell without a vote counts as wrong
            right += usize::from(vote.is_some_and(|v| v.decision.value == fact.values[truth]));
            most_right += usize::from(truth == most);
        }
        let share = |n: usize| n as f64 / val.len() as f64;
        eprintln!("{name}: {:.3}, always the most frequent value {:.3}", share(right), share(most_right));
        voted.push(share(right));
        usual.push(share(most_right));
    }
    let mean = |shares: &[f64]| shares[1..].iter().sum::<f64>() / 11.0;
    eprintln!("attributes: {:.3}, always the most frequent value {:.3}", mean(&voted), mean(&usual));
    assert!(voted[0] > usual[0] + 0.3, "type");
    assert!(mean(&voted) > mean(&usual) + 0.05, "attributes");
}
