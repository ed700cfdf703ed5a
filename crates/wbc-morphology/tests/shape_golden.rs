//! Shapes of 120 cells measured here and by scikit-image, scipy, OpenCV, pyefd and mahotas.
//!
//! `golden/shape.json.gz` is what `scripts/golden_morphology.py` wrote. It holds the masks of the 30 PBC cells; the other
//! cells need `WBC_CLIP_DATA`. `golden/reference.json.gz` is an independent set of values of five cells of Zheng 2018 with
//! the same libraries, by `golden/make_reference.py`, where the conventions are written.

mod common;

use common::{PARTS, golden, masks_from_runs, measured, read};
use serde_json::Value;
use std::collections::HashMap;
use std::path::PathBuf;
use wbc_core::{CellMasks, image};

/// Both sides compute in 64 bits.
const EXACT: f64 = 1e-9;
/// OpenCV adds lengths and takes roots of distances in 32 bits.
const SINGLE: f64 = 1e-6;
/// Moments that cancel are compared with what cancels: odd ones are differences of sums, which floats add with an error
/// of their own. Relative to `area * diameter^order`.
const CANCELLED: f64 = 1e-4;

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn data() -> Option<PathBuf> {
    std::env::var_os("WBC_CLIP_DATA").map(PathBuf::from)
}

fn masks_from_file(file: &str) -> Option<CellMasks> {
    data().map(|data| CellMasks::from_image(&image::open(data.join(file)).unwrap().into_luma8()))
}

/// What a value is compared with where it is nearly nothing: see [`CANCELLED`].
fn scale(name: &str, found: &HashMap<String, Option<f64>>) -> f64 {
    let value = |name: &str| found[name].unwrap();
    let order = |name: &str| -> i32 { name.split('-').skip(1).map(|n| n.parse::<i32>().unwrap()).sum() };
    let diameter = value("equivalent_diameter_area");
    CANCELLED
        * match name.split('-').next().unwrap() {
            "moments_central" => value("area") * diameter.powi(order(name)),
            "moments_normalized" => 1.0,
            "inertia_tensor" => diameter * diameter,
            "moments_hu" => return 1e-9, // powers up to the fourth of normalised moments
            "zernike" | "outline.fourier" => 1.0,
            _ => 0.0,
        }
}

fn assert_near(what: &str, found: f64, expected: f64, tolerance: f64, floor: f64) {
    let error = (found - expected).abs();
    assert!(error <= tolerance * expected.abs().max(floor), "{what}: {found}, expected {expected}");
}

#[test]
fn shapes_are_those_of_the_reference_libraries() {
    let golden = golden();
    let names: Vec<&str> = golden["names"].as_array().unwrap().iter().map(text).collect();
    let (mut cells, mut values) = (0, 0);
    for item in golden["items"].as_array().unwrap() {
        let file = text(&item["file"]);
        let masks = if item["runs"].is_array() { Some(masks_from_runs(item)) } else { masks_from_file(file) };
        let Some(masks) = masks else { continue };
        cells += 1;
        for (name, part) in PARTS {
            let found = measured(&masks, part);
            for (i, property) in names.iter().enumerate() {
                let expected = item[name].as_array().and_then(|row| row[i].as_f64());
                let what = format!("{file} {name}.{property}");
                match (found[*property], expected) {
                    (Some(f), Some(e)) => assert_near(&what, f, e, EXACT, scale(property, &found)),
                    (f, e) => assert_eq!(f, e, "{what}"),
                }
                values += 1;
            }
        }
    }
    let all = if data().is_some() { 120 } else { 30 };
    assert_eq!((cells, values), (all, all * 2 * names.len()));
}

#[test]
fn five_cells_measured_independently_agree() {
    if data().is_none() {
        return;
    }
    for item in read(include_bytes!("golden/reference.json.gz"))["items"].as_array().unwrap() {
        let masks = masks_from_file(&format!("zheng2018/Dataset 2/{}.png", text(&item["id"]))).unwrap();
        for (part_name, part) in PARTS {
            let (found, expected) = (measured(&masks, part), &item[part_name]);
            let check = |name: &str, expected: &Value, tolerance: f64| {
                let what = format!("{} {part_name}.{name}", item["id"]);
                assert_near(&what, found[name].unwrap(), expected.as_f64().unwrap(), tolerance, scale(name, &found));
            };
            let mut compared = 0;
            for (name, value) in expected.as_object().unwrap() {
                compared += compare(name, value, &found, &check);
            }
            assert_eq!(compared, 110, "as many values as the reference has for shapes");
            let opencv = &expected["opencv"];
            check("contour_length", &opencv["arc_length_sum"], SINGLE);
            check("contour_area", &opencv["contour_area_sum"], EXACT);
            check("contour_hull_area", &opencv["hull_area_all_points"], EXACT);
            check("distance_transform_max", &opencv["distance_transform_max_L2_precise"], SINGLE);
            for p in 0..4 {
                for q in 0..4 - p {
                    // OpenCV names the power of x first.
                    check(&format!("moments_central-{p}-{q}"), &central(&opencv["moments"], p, q), EXACT);
                    if p + q >= 2 {
                        let normalized = &opencv["moments"][format!("nu{q}{p}")];
                        check(&format!("moments_normalized-{p}-{q}"), normalized, EXACT);
                    }
                }
            }
            for i in 0..7 {
                // The seventh invariant changes its sign where rows and columns are exchanged.
                let sign = if i == 6 { -1.0 } else { 1.0 };
                let hu = Value::from(sign * opencv["hu"][i].as_f64().unwrap());
                check(&format!("moments_hu-{i}"), &hu, EXACT);
            }
        }
    }
}

/// OpenCV leaves out what is known: the area, and first moments about the centre.
fn central(moments: &Value, p: usize, q: usize) -> Value {
    match p + q {
        0 => moments["m00"].clone(),
        1 => Value::from(0.0),
        _ => moments[format!("mu{q}{p}")].clone(),
    }
}

/// Compares one entry of the first set with the values of its name, and says how many there were.
fn compare(
    name: &str,
    value: &Value,
    found: &HashMap<String, Option<f64>>,
    check: &dyn Fn(&str, &Value, f64),
) -> usize {
    let renamed = match name {
        "perimeter_nb8" => "perimeter_neighborhood_8",
        "perimeter_crofton_2dir" => "perimeter_crofton_directions_2",
        "euler_conn4" => "euler_number_connectivity_1",
        "circularity_4piA_P2" => "circularity",
        "edt_max_scipy" => "distance_transform_max",
        "aspect_major_minor" => {
            check("axis_ratio", &Value::from(1.0 / value.as_f64().unwrap()), EXACT);
            return 1;
        }
        "zernike_mahotas_deg8" => {
            let orders = (0..=8_usize).flat_map(|n| (n % 2..=n).step_by(2).map(move |l| (n, l)));
            return orders
                .zip(value.as_array().unwrap())
                .map(|((n, l), v)| check(&format!("zernike-{n}-{l}"), v, EXACT))
                .count();
        }
        // Not of shape.
        "intensity" | "glcm_skimage" | "haralick_mahotas" | "opencv" => return 0,
        same => same,
    };
    match value {
        Value::Array(entries) => entries
            .iter()
            .enumerate()
            .map(|(i, v)| {
                let at = format!("{renamed}-{i}");
                match v {
                    Value::Array(row) => row
                        .iter()
                        .enumerate()
                        .map(|(j, v)| {
                            let at = format!("{at}-{j}");
                            // Normalised moments below second order are NaN in the reference and have no column here.
                            if v.as_f64().is_some_and(f64::is_finite) && found.contains_key(&at) {
                                check(&at, v, EXACT);
                                return 1;
                            }
                            0
                        })
                        .sum(),
                    v => {
                        check(&at, v, EXACT);
                        1
                    }
                }
            })
            .sum(),
        v => {
            check(renamed, v, EXACT);
            1
        }
    }
}
