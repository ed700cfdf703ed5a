//! Manifests with mistakes, and datasets that are not there.

use crate::support::{Ended, command, rows, run, trained, with_cells};
use std::path::Path;

/// Writes `bad.csv` beside cells and measures it.
fn measured(folder: &Path, table: &[u8]) -> Ended {
    std::fs::write(folder.join("bad.csv"), table).unwrap();
    run(folder, &["measure", "bad.csv", "--out", "out.csv"])
}

#[test]
fn a_table_that_is_wrong_as_a_whole_is_refused() {
    let folder = with_cells();
    let cell = "synthetic-train-00000.png";
    let duplicate = format!("path,id\n{cell},a\nsynthetic-train-00001.png,b\nsynthetic-train-00002.png,a\n");
    let cases: [(&[u8], &[&str]); 6] = [
        (b"id,label\na,neutrophil\n", &["bad.csv", "no column `path`"]),
        (duplicate.as_bytes(), &["bad.csv", "id `a`", "rows 1 and 3"]),
        (b"", &["bad.csv", "empty table"]),
        (b"path\n", &["bad.csv", "no cells"]),
        (b"path,l\xffabel\nx.png,a\n", &["bad.csv", "not UTF-8"]),
        (b"path,path\nx.png,y.png\n", &["bad.csv", "`path` stands twice"]),
    ];
    for (table, parts) in cases {
        measured(folder.path(), table).refused(1, parts);
        assert!(!folder.path().join("out.csv").exists());
    }
}

#[test]
fn rows_that_cannot_be_used_are_named_and_the_others_measured() {
    let folder = with_cells();
    let outside = trained().join("synthetic-train-00000.png").display().to_string();
    let mut table = b"path,id,cell_size,x0,y0,x1,y1\n".to_vec();
    let rows_and_causes: [(&str, &[&str]); 10] = [
        ("synthetic-train-00000.png,good,big,,,,", &[]),
        ("synthetic-train-00001.png,size,gigantic,,,,", &["row 2", "cell_size", "gigantic", "small"]),
        ("../synthetic-train-00002.png,up,,,,,", &["row 3", "leaves the manifest's folder"]),
        (&format!("{outside},absolute,,,,,"), &["row 4", "leaves the manifest's folder"]),
        ("synthetic-train-00003.png,../id,,,,,", &["row 5", "cannot name a file"]),
        ("not-there.png,missing,,,,,", &["not-there.png", "No such file"]),
        ("synthetic-train-00004.png,box,,5,5,5,9", &["row 7", "empty"]),
        ("synthetic-train-00005.png,wide,,0,0,9999,9", &["synthetic-train-00005.png", "crop", "240 x 240"]),
        ("synthetic-train-00006.png,short", &["row 9", "2 fields"]),
        ("synthetic-train-00007.png,crop,,0,0,240,240", &[]),
    ];
    for (row, _) in rows_and_causes {
        table.extend_from_slice(format!("{row}\n").as_bytes());
    }
    table.extend_from_slice(b"synthetic-train-00008.png,\xff\xfe,,,,,\n");
    let ended = measured(folder.path(), &table);
    let errors = ended.errors();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let not_text: &[&str] = &["row 11", "`id` is not UTF-8"];
    let expected = rows_and_causes.iter().map(|(_, causes)| *causes).chain([not_text]);
    let expected: Vec<_> = expected.filter(|causes| !causes.is_empty()).collect();
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    for causes in expected {
        assert!(errors.iter().any(|e| causes.iter().all(|c| e.contains(c))), "{causes:?}: {errors:#?}");
    }
    let kept: Vec<String> = rows(&folder.path().join("out.csv")).into_keys().collect();
    assert_eq!(kept, ["crop", "good"]);
    // they are listed whatever is done with the table
    let exported = run(folder.path(), &["data", "export", "bad.csv", "--to", "copy"]);
    assert_eq!((exported.code, &exported.json()["n"], exported.errors().len()), (Some(1), &2.into(), errors.len()));
    let counted = run(folder.path(), &["data", "stats", "bad.csv"]);
    assert!(counted.code == Some(1) && counted.errors().iter().any(|e| e.contains("gigantic")), "{}", counted.stderr);
}

#[test]
fn an_unknown_class_is_named_with_its_row_and_left_out_of_the_figures() {
    let folder = with_cells();
    let cells = std::fs::read_to_string(folder.path().join("cells.csv")).unwrap();
    let cells = cells.replacen("neutrophil", "neutrophill", 1);
    let row = cells.lines().position(|l| l.contains("neutrophill")).unwrap();
    std::fs::write(folder.path().join("typo.csv"), cells).unwrap();
    let run_folder = trained().join("run").display().to_string();
    let ended = run(folder.path(), &["eval", &run_folder, "--dataset", "typo.csv"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains(&format!("typo.csv: cell types of its own: neutrophill (first in row {row})")));
    assert!(ended.stderr.contains("does not know these types") && ended.stderr.contains("neutrophill (1 cells)"));
    let classes = ended.json()["datasets"][0]["classes"].to_string();
    assert!(!classes.contains("neutrophill"), "{classes}");
    run(folder.path(), &["eval", &run_folder, "--dataset", "typo.csv", "--classes", "neutrophil,blast"])
        .refused(2, &["blast", "the run knows", "monocyte"]);
}

#[test]
fn what_is_no_input_is_refused_with_what_there_is() {
    let folder = with_cells();
    let measure = |input: &str| run(folder.path(), &["measure", input, "--out", "out.csv"]);
    measure("nowhere.png").refused(1, &["nowhere.png", "neither an image", "wbcatt"]);
    measure("train.toml").refused(1, &["train.toml", "neither an image"]);
    measure("cells.csv:autumn").refused(1, &["cells.csv:autumn", "no cells"]);
    measure("synthetic:autumn").refused(1, &["unknown split `autumn`", "train, val, test"]);
    measure("").refused(1, &["neither an image"]);
    std::fs::create_dir(folder.path().join("nothing")).unwrap();
    measure("nothing").refused(1, &["nothing", "no cells"]);
    run(folder.path(), &["measure", "cells.csv", "--out", "out.xls"]).refused(2, &["out.xls", ".parquet"]);
    run(folder.path(), &["measure", "cells.csv", "--out", "no/out.csv"]).refused(1, &["no/out.csv"]);
    let run_folder = trained().join("run").display().to_string();
    run(folder.path(), &["classify", "cells.csv", "--run", &run_folder, "--out", "no/out.csv"])
        .refused(1, &["no/out.csv"]);
    run(folder.path(), &["embed", &run_folder, "cells.csv", "--out", "no/out.parquet"]).refused(1, &["no/out.parquet"]);
}

#[test]
fn no_input_is_replaced_by_an_output() {
    let folder = with_cells();
    let names = ["cells.csv", "synthetic-val-00000.png"];
    let contents = || names.map(|name| std::fs::read(folder.path().join(name)).unwrap());
    let before = contents();
    run(folder.path(), &["measure", "cells.csv", "--out", "./cells.csv"])
        .refused(2, &["cells.csv", "replace the input"]);
    let run_folder = trained().join("run").display().to_string();
    run(folder.path(), &["classify", "cells.csv", "--run", &run_folder, "--out", "cells.csv"])
        .refused(2, &["replace the input"]);
    run(folder.path(), &["segment", "cells.csv:val", "--out", "."])
        .refused(2, &["synthetic-val-00000.png", "overwrite"]);
    assert!(contents() == before);
    // a true mask beside its image
    let zheng = tempfile::tempdir().unwrap();
    image::RgbImage::new(9, 9).save(zheng.path().join("1.bmp")).unwrap();
    image::GrayImage::new(9, 9).save(zheng.path().join("1.png")).unwrap();
    run(zheng.path(), &["segment", ".", "--out", "."]).refused(2, &["1.png", "overwrite"]);
}

#[test]
fn a_dataset_that_is_not_there_says_which_file_is_missing_and_where_it_belongs() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["measure", "wbcatt:val", "--out", "out.csv"];
    run(folder.path(), &args).refused(1, &["WBC_CLIP_DATA", "wbcatt/pbc_attr_v1_val.csv"]);
    let output = command(folder.path(), &args).env("WBC_CLIP_DATA", folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let expected = folder.path().join("wbcatt/pbc_attr_v1_val.csv").display().to_string();
    assert!(String::from_utf8_lossy(&output.stdout).contains(&expected));
    // a set with one hole would silently give other figures
    std::fs::create_dir(folder.path().join("wbcatt")).unwrap();
    let table = "label,img_name,path\nNeutrophil,x.jpg,PBC_dataset_normal_DIB/neutrophil/x.jpg\n";
    std::fs::write(folder.path().join("wbcatt/pbc_attr_v1_val.csv"), table).unwrap();
    let output = command(folder.path(), &args).env("WBC_CLIP_DATA", folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn one_dataset_that_fails_does_not_keep_the_others_from_being_evaluated() {
    let folder = with_cells();
    let run_folder = trained().join("run").display().to_string();
    std::fs::write(folder.path().join("broken.csv"), "path,label\nnot-there.png,neutrophil\n").unwrap();
    let mut args = vec!["eval", &run_folder];
    for dataset in ["broken.csv", "cells.csv:val", "wbcatt:val", "nowhere.csv", "cells.csv:train"] {
        args.extend(["--dataset", dataset]);
    }
    let ended = run(folder.path(), &args);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let document = ended.json();
    let ids: Vec<_> = document["datasets"].as_array().unwrap().iter().map(|d| d["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["cells.csv:val", "cells.csv:train"]);
    let errors = ended.errors();
    for part in ["broken.csv", "not-there.png", "wbcatt:val", "nowhere.csv"] {
        assert!(errors.iter().any(|e| e.contains(part)), "{part}: {errors:#?}");
    }
}
