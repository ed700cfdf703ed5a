//! Type and attributes from measurements, micrometres and plots.

use crate::support::{rows, run, trained, with_cells};

#[test]
fn a_descriptor_is_fitted_asked_and_evaluated_beside_a_run() {
    let folder = with_cells();
    let fit = ["describe", "fit", "synthetic:test", "--out", "cells.wbcdesc"];
    let fitted = run(folder.path(), &fit);
    assert_eq!(fitted.code, Some(0), "{}", fitted.stderr);
    let held_out = &fitted.json()["cross_validation"][0];
    assert_eq!(held_out["name"], "type");
    assert!(held_out["scores"]["accuracy"].as_f64().unwrap() > 0.8, "{held_out}");

    let run_folder = trained().join("run").display().to_string();
    let eval = ["eval", &run_folder, "--dataset", "synthetic:val", "--descriptor", "cells.wbcdesc"];
    let beside = run(folder.path(), &eval).json();
    let alone = run(folder.path(), &["describe", "eval", "cells.wbcdesc", "--dataset", "synthetic:val"]).json();
    let (beside, alone) = (&beside["datasets"][0], &alone["datasets"][0]);
    assert_eq!(beside["descriptor"]["zero_shot"]["accuracy"], alone["zero_shot"]["accuracy"]);
    assert!(alone["attributes"]["mean_accuracy"]["value"].as_f64().unwrap() > 0.7, "{alone}");

    let cells =
        ["describe", "cells", "cells.csv", "--descriptor", "cells.wbcdesc", "--out", "said.csv", "--reasons", "2"];
    let said = run(folder.path(), &cells);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let first = said.json()["cells"][0].clone();
    assert_eq!(first["reasons"].as_array().unwrap().len(), first["judgements"].as_array().unwrap().len());
    assert!(first["reasons"][0].as_array().unwrap().len() <= 2);
    assert_eq!(rows(&folder.path().join("said.csv")).len(), said.json()["cells"].as_array().unwrap().len());
}

#[test]
fn what_is_no_descriptor_is_refused() {
    let folder = with_cells();
    std::fs::write(folder.path().join("bad.wbcdesc"), b"wbcdescr nothing").unwrap();
    let eval = |file: &str| run(folder.path(), &["describe", "eval", file, "--dataset", "cells.csv"]);
    eval("bad.wbcdesc").refused(1, &["not a usable descriptor"]);
    eval("missing.wbcdesc").refused(1, &["missing.wbcdesc"]);
    // without labels there is nothing to learn
    let fit = run(folder.path(), &["describe", "fit", "synthetic-train-00000.png", "--out", "x.wbcdesc"]);
    fit.refused(1, &["cells"]);
    assert!(!folder.path().join("x.wbcdesc").exists());
}

#[test]
fn a_known_pixel_size_adds_micrometres_and_a_plot_shows_each_type() {
    let folder = with_cells();
    let measure = |more: &[&str]| run(folder.path(), &[&["measure", "cells.csv", "--out", "out.csv"], more].concat());
    let plain = measure(&[]).json()["n_measurements"].as_u64().unwrap();
    let done = measure(&["--pixel-size", "0.1", "--plot", "cells.svg", "--method", "threshold"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(done.json()["n_measurements"].as_u64().unwrap(), plain + 14);
    let table = std::fs::read_to_string(folder.path().join("out.csv")).unwrap();
    assert!(table.lines().next().unwrap().ends_with("cell.feret_diameter_max_um"));
    let svg = std::fs::read_to_string(folder.path().join("cells.svg")).unwrap();
    assert!(svg.contains("neutrophil (") && svg.contains("nuclear_cytoplasmic_ratio"));

    measure(&["--pixel-size", "0"]).refused(2, &["0 µm"]);
    measure(&["--plot", "x.svg", "--plot-measurements", "cell.beauty"]).refused(2, &["cell.beauty"]);
    assert!(!folder.path().join("x.svg").exists());
}
