//! Definitions of the lobes' measurements, in the order of their values.

use super::hills::{LEVELS as HILL_LEVELS, blur};
use super::{BAY_LEVELS, CUT_LEVELS, NECK_LEVELS};
use crate::measure::context::Compartment;
use crate::measure::define::{OWN, define};
use wbc_core::{MeasurementDef, Unit};

const THINNING: &str = "wbc-morphology on the skeleton of Zhang and Suen 1984";

pub(super) fn definitions() -> Vec<MeasurementDef> {
    let mut all = Vec::new();
    let mut add = |unit, source, name: &str, text: &str| {
        all.push(define(Compartment::Nucleus, name, unit, text, source));
    };
    use Unit::{Count, Rad, Ratio};
    add(Count, OWN, "lobe_parts", "separate parts of the dark core with at least 1.5 % of its area");
    for i in 1..=2 {
        add(
            Ratio,
            OWN,
            &format!("lobe_part_share{i}"),
            &format!("area of part {i}, largest first / all of them, 0 without"),
        );
    }
    add(Ratio, OWN, "hole_share", "area of the dark core's holes / area with them");
    add(Count, OWN, "holes", "holes of at least 0.3 % of the dark core");
    for i in 1..=3 {
        add(
            Ratio,
            THINNING,
            &format!("neck_ratio{i}"),
            &format!(
                "width of neck {i}, smallest ratio first / width of the narrower of its lobes; 0 between parts, 1 without"
            ),
        );
    }
    for i in 1..=2 {
        let text = format!("width of neck {i}, smallest ratio first / equivalent diameter; 0 between parts, 1 without");
        add(Ratio, THINNING, &format!("neck_width{i}"), &text);
    }
    add(Ratio, THINNING, "ring_neck_ratio", "width where a ring is narrowest / where it is widest, 1 without a ring");
    for (level, name) in NECK_LEVELS {
        add(
            Count,
            THINNING,
            &format!("necks_below_{name}"),
            &format!("necks of a ratio below {level}, and gaps between parts"),
        );
    }
    for (level, name) in CUT_LEVELS {
        let cut = format!("lobes of at least 4 % of the area after cutting at necks of a ratio below {level}");
        add(Count, THINNING, &format!("lobes_cut_{name}"), &format!("number of {cut}"));
        for i in 1..=3 {
            let text = format!("area of lobe {i} / all, among {cut}; 0 without");
            add(Ratio, THINNING, &format!("lobe_share{i}_{name}"), &text);
        }
        add(Ratio, THINNING, &format!("lobe_entropy_{name}"), &format!("entropy, in nats, of the shares of {cut}"));
    }
    let path = "of the skeleton's longest path";
    add(Ratio, THINNING, "path_width_ratio", &format!("smallest / largest width along the inner part {path}"));
    add(Rad, THINNING, "path_turning", &format!("angle between the directions at the ends {path}, followed along it"));
    for (level, name) in BAY_LEVELS {
        let text = format!("bays deeper than {level} radii of the disc of equal area");
        add(Count, "convexity defects of all parts", &format!("bays_deeper_{name}"), &text);
    }
    let bay = "convexity defects of all parts, outline through pixel centres";
    for i in 1..=2 {
        let text = format!("depth of bay {i} of the dark core, deepest first / radius of the disc of equal area");
        add(Ratio, bay, &format!("bay_depth{i}"), &text);
    }
    add(Ratio, bay, "bay_area1", "area of the deepest bay / area of the dark core");
    let text = "length of the hull's edge across the deepest bay / radius of the disc of equal area";
    add(Ratio, bay, "bay_mouth1", text);
    add(Ratio, bay, "bay_depth_sum", "sum of the depths of all bays / radius of the disc of equal area");
    for (name, from) in [("own", "its own centroid"), ("cell", "the cell's centroid")] {
        let text = format!("largest angle around {from} in which none of the dark core lies, 0 where it lies inside");
        add(Rad, OWN, &format!("gap_from_{name}"), &text);
        let text = format!(
            "distance from {from} to the dark core's outline / radius of the disc of equal area, negative where it lies inside"
        );
        add(Ratio, OWN, &format!("void_from_{name}"), &text);
    }
    let land = format!("of the darkness blurred with a sigma of {:.3} equivalent diameters", blur());
    for i in 1..=2 {
        let text =
            format!("height of saddle {i} {land}, lowest first / height of the lower of its two hills; 1 without");
        add(Ratio, OWN, &format!("hill_saddle{i}"), &text);
    }
    for (level, name) in HILL_LEVELS {
        let text = format!("saddles {land} lower than {level} of their hill");
        add(Count, OWN, &format!("hills_below_{name}"), &text);
    }
    let text = format!("area of the smaller hill at saddle 1 {land} / area of the nucleus; 0 without");
    add(Ratio, OWN, "hill_share1", &text);
    all
}
