//! What tests of shape share: stored values and masks, and the values that are measured.

use flate2::read::GzDecoder;
use serde_json::Value;
use std::collections::HashMap;
use wbc_core::{CellMasks, Mask, RgbImage};
use wbc_morphology::{Compartment, FeatureGroup, Outline, RegionProps, Zernike, measure_groups, schema_of};

pub(crate) fn read(gz: &[u8]) -> Value {
    serde_json::from_reader(GzDecoder::new(gz)).unwrap()
}

pub(crate) fn golden() -> Value {
    read(include_bytes!("../golden/shape.json.gz"))
}

pub(crate) fn masks_from_runs(item: &Value) -> CellMasks {
    let side = |name: &str| item[name].as_u64().unwrap() as usize;
    let numbers: Vec<usize> = item["runs"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as usize).collect();
    let grey: Vec<usize> = numbers.chunks_exact(2).flat_map(|run| std::iter::repeat_n(run[0], run[1])).collect();
    let mask = |least: usize| {
        Mask::from_vec(side("width"), side("height"), grey.iter().map(|v| *v >= least).collect()).unwrap()
    };
    CellMasks::new(mask(255), mask(64)).unwrap()
}

pub(crate) const PARTS: [(&str, Compartment); 2] = [("nucleus", Compartment::Nucleus), ("cell", Compartment::Cell)];

/// Every value of the shape of a compartment, by its name without the compartment.
pub(crate) fn measured(masks: &CellMasks, part: Compartment) -> HashMap<String, Option<f64>> {
    let groups: [Box<dyn FeatureGroup>; 3] =
        [Box::new(RegionProps::of(part)), Box::new(Outline::of(part)), Box::new(Zernike::of(part))];
    let image = RgbImage::new(masks.cell().width() as u32, masks.cell().height() as u32);
    let row = measure_groups(&image, masks, &groups);
    let names = schema_of("golden", 1, &groups).names().map(|n| n.split_once('.').unwrap().1.to_string()).collect();
    std::iter::zip::<Vec<String>, _>(names, row).collect()
}
