//! Command lines and configurations that cannot be meant: refused with status 2 before anything is begun.

use crate::support::{TRAINING, run, with_cells};

#[test]
fn an_unknown_key_is_shown_with_its_line() {
    let folder = with_cells();
    let config = format!("{TRAINING}\n[view]\n").replace("view.shifted_copies = 1\n", "") + "sidee = 64\n";
    let line = config.lines().count();
    std::fs::write(folder.path().join("slip.toml"), config).unwrap();
    run(folder.path(), &["train", "slip.toml"]).refused(2, &["slip.toml", "sidee", &format!("line {line}"), "side"]);
    std::fs::write(folder.path().join("slip.toml"), "out = [\n").unwrap();
    run(folder.path(), &["train", "slip.toml"]).refused(2, &["slip.toml", "line 1"]);
    run(folder.path(), &["train", "not-there.toml"]).refused(2, &["not-there.toml"]);
    assert!(!folder.path().join("run").exists());
}

#[test]
fn impossible_values_are_refused_by_name_and_nothing_is_created() {
    let folder = with_cells();
    let cases = [
        ("optimiser.epochs=0", "epochs"),
        ("optimiser.epochs=99999999999", "epochs"),
        ("optimiser.batch_size=1", "batch_size"),
        ("optimiser.learning_rate=-1", "learning_rate"),
        ("optimiser.learning_rate=nan", "learning_rate"),
        ("optimiser.checkpoint_steps=0", "checkpoint_steps"),
        ("optimiser.speed=1", "speed"),
        ("model.embed_dim=0", "embed_dim"),
        ("model.embed_dim=99999999", "embed_dim"),
        ("model.members=0", "members"),
        ("model.members=17", "not in 1..=16"),
        ("model.measurements.hidden=0", "measurements.hidden"),
        ("model.measurements.hidden=999999999", "measurements.hidden"),
        ("model.measurements.dropout=1", "measurements.dropout"),
        ("model.branch_dropout=0.9", "branch_dropout"),
        ("model.branches=legs", "legs"),
        ("model.text.heads=3", "heads 3"),
        ("model.text.heads=0", "heads 0"),
        ("model.text.max_len=1", "max_len"),
        ("model.text.dropout=2", "text.dropout"),
        ("model.tokenizer.vocab_size=0", "vocab_size"),
        ("view.side=5", "view.side"),
        ("view.shifted_copies=1000", "shifted_copies"),
        ("view.viewer=plain", "canonical viewer"),
        ("types=['neutrophil', 'neutrophil']", "twice"),
        ("types=['neutrophil', 'eosinophil']", "not listed"),
        ("version=2", "version 2"),
        ("seed=-1", "seed"),
        ("device=cuda:9", "cuda:9"),
        ("nonsense", "KEY=VALUE"),
    ];
    for (change, part) in cases {
        run(folder.path(), &["train", "train.toml", "--set", change]).refused(2, &[part]);
        assert!(!folder.path().join("run").exists(), "{change}");
    }
    // a patch that does not divide the view, in a model that has pixels
    let both = ["train", "train.toml", "--set", "model.branches=both", "--set", "model.pixels.patch=15"];
    run(folder.path(), &both).refused(2, &["pixels.side", "patch 15"]);
    assert!(!folder.path().join("run").exists());
}

#[test]
fn data_that_cannot_be_trained_on_leave_no_run_folder_behind() {
    let folder = with_cells();
    let unlabelled = "path\nsynthetic-train-00000.png\nsynthetic-train-00001.png\n";
    std::fs::write(folder.path().join("unlabelled.csv"), unlabelled).unwrap();
    std::fs::write(folder.path().join("captions.jsonl"), "").unwrap();
    let cases = [
        ("train=not-there.csv", "not-there.csv"),
        ("train=wbcatt:train", "pbc_attr_v1_train.csv"),
        ("train=cells.csv:autumn", "cells.csv:autumn"),
        ("train=unlabelled.csv", "two cell types"),
        ("validation=bccd", "bccd"),
        ("captions=not-there.jsonl", "not-there.jsonl"),
        ("captions=captions.jsonl", "captions.jsonl"),
    ];
    for (change, part) in cases {
        run(folder.path(), &["train", "train.toml", "--set", change]).refused(1, &[part]);
        assert!(!folder.path().join("run").exists(), "{change}");
    }
}

#[test]
fn devices_that_are_not_there_are_refused_with_those_that_are() {
    let folder = with_cells();
    for device in ["cuda:7", "flex:3", "cuda:x", "gpu", ""] {
        let ended = run(folder.path(), &["--device", device, "train", "train.toml"]);
        ended.refused(2, &[&format!("`{device}`"), "available here: flex"]);
        run(folder.path(), &["--device", device, "measure", "cells.csv", "--out", "x.csv"]).refused(2, &["available"]);
    }
    assert!(!folder.path().join("run").exists() && !folder.path().join("x.csv").exists());
}

#[test]
fn command_lines_that_make_no_sense_answer_in_json_too() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &str); 8] = [
        (&["paint"], "unrecognized subcommand"),
        (&["measure"], "--out"),
        (&["--threads", "0", "data", "list"], "1 to 1024"),
        (&["--threads", "100000", "data", "list"], "1 to 1024"),
        (&["--seed", "abc", "data", "list"], "--seed"),
        (&["search", "run", "--index", "i.parquet"], "--text"),
        (&["search", "run", "--index", "i.parquet", "--text", "a", "-k", "0"], "-k"),
        (&["caption", "cells.csv", "--captioners", "not-there.toml", "--out", "c.jsonl"], "not-there.toml"),
    ];
    for (args, part) in cases {
        run(folder.path(), args).refused(2, &[part]);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    assert_eq!(run(folder.path(), &["--help"]).code, Some(0));
}
