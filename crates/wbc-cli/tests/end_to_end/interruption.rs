//! Trainings that are killed, stopped, or run out of disk, and then continued: the bits are those of a training that
//! was never interrupted.

use crate::support::{STEPS, command, run, trained, with_cells};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Kills per training; the acceptance asks for ten.
const KILLS: usize = 10;

/// A small sequence of numbers that look random and are the same in every test run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

#[track_caller]
fn assert_same_run(found: &Path, expected: &Path) {
    for file in ["weights.safetensors", "metrics.jsonl", "tokenizer.json", "preprocess.json", "prompts.toml"] {
        let read = |folder: &Path| std::fs::read(folder.join(file)).unwrap();
        assert!(read(found) == read(expected), "{file} differs");
    }
    assert!(found.join("report.html").is_file());
}

fn steps_logged(run: &Path) -> usize {
    let log = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    log.lines().filter(|l| l.contains("\"loss\"")).count()
}

/// Starts a training again and again and kills it, each time some steps further or while it starts; then lets it end.
fn killed_and_resumed(folder: &Path, options: &[&str], kills: usize, steps_between: u64) {
    let args = [&["train", "train.toml", "--resume"], options].concat();
    let (mut numbers, run_folder) = (Numbers(5), folder.join("run"));
    for kill in 0..kills {
        let mut child = command(folder, &args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let began = Instant::now();
        if kill % 4 != 3 {
            let goal = steps_logged(&run_folder) + 1 + numbers.below(steps_between) as usize;
            while steps_logged(&run_folder) < goal && began.elapsed() < Duration::from_secs(60) {
                assert!(child.try_wait().unwrap().is_none(), "the training ended before kill {kill}");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        std::thread::sleep(Duration::from_millis(numbers.below(8)));
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success(), "the training ended before kill {kill}");
        assert!(!run_folder.join("weights.safetensors").exists());
    }
    let ended = run(folder, &args);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn a_training_killed_ten_times_ends_with_the_same_bits() {
    let folder = with_cells();
    killed_and_resumed(folder.path(), &[], KILLS, 3);
    assert_same_run(&folder.path().join("run"), &trained().join("run"));
}

#[test]
fn a_training_on_pixels_and_measurements_killed_ends_with_the_same_bits() {
    let folder = with_cells();
    let options = [
        ["--set", "model.branches=both"],
        ["--set", "model.pixels={ width = 16, depth = 1, heads = 2, patch = 16 }"],
        ["--set", "view.side=64"],
        ["--set", "optimiser.epochs=6"],
    ]
    .concat();
    let whole = [&["train", "train.toml", "--set", "out=whole"], options.as_slice()].concat();
    assert_eq!(run(folder.path(), &whole).code, Some(0));
    killed_and_resumed(folder.path(), &options, 4, 3);
    assert_same_run(&folder.path().join("run"), &folder.path().join("whole"));
}

#[test]
fn damaged_checkpoints_are_passed_over_and_a_shortened_log_is_refused() {
    let folder = with_cells();
    let run_folder = folder.path().join("run");
    killed_and_resumed(folder.path(), &[], 0, 1);
    let newest = run_folder.join(format!("checkpoints/step-{STEPS:08}"));
    for file in ["model.bpk", "optimiser.bpk", "state.json"] {
        std::fs::remove_file(run_folder.join("weights.safetensors")).unwrap();
        let bytes = std::fs::read(newest.join(file)).unwrap();
        std::fs::write(newest.join(file), &bytes[..bytes.len() / 2]).unwrap();
        let ended = run(folder.path(), &["train", "train.toml", "--resume"]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stderr.contains("passed over"), "{}", ended.stderr);
        assert_same_run(&run_folder, &trained().join("run"));
    }
    std::fs::remove_file(run_folder.join("weights.safetensors")).unwrap();
    let log = std::fs::read(run_folder.join("metrics.jsonl")).unwrap();
    std::fs::write(run_folder.join("metrics.jsonl"), &log[..log.len() / 2]).unwrap();
    run(folder.path(), &["train", "train.toml", "--resume"]).refused(1, &["metrics.jsonl", "shorter"]);
}

#[test]
fn an_existing_run_is_refused_and_a_finished_one_left_as_it_is() {
    let folder = with_cells();
    let run_folder = folder.path().join("run");
    // resuming what was never begun begins it
    killed_and_resumed(folder.path(), &[], 0, 1);
    assert_same_run(&run_folder, &trained().join("run"));
    run(folder.path(), &["train", "train.toml"]).refused(1, &["run", "exists already", "--resume"]);
    let written = std::fs::metadata(run_folder.join("weights.safetensors")).unwrap().modified().unwrap();
    // neither the data nor the checkpoints are needed any more
    std::fs::remove_file(folder.path().join("cells.csv")).unwrap();
    for _ in 0..2 {
        let ended = run(folder.path(), &["train", "train.toml", "--resume"]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert_eq!(ended.json()["steps"], STEPS);
        let _ = std::fs::remove_dir_all(run_folder.join("checkpoints"));
    }
    assert_eq!(std::fs::metadata(run_folder.join("weights.safetensors")).unwrap().modified().unwrap(), written);
    let other = ["train", "train.toml", "--resume", "--set", "optimiser.epochs=9"];
    run(folder.path(), &other).refused(2, &["config.toml", "another configuration"]);
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_within_a_step_and_can_be_resumed() {
    let folder = with_cells();
    let run_folder = folder.path().join("run");
    // steps that take some time, so that few of them end between looking and stopping
    let slow = "model.text={ width = 96, depth = 3, heads = 2, max_len = 32 }";
    let options = ["--set", slow, "--set", "optimiser.epochs=5", "--set", "optimiser.checkpoint_steps=1000"];
    let args = [&["train", "train.toml", "--resume"], options.as_slice()].concat();
    let child = command(folder.path(), &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while steps_logged(&run_folder) < 5 && began.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let before = steps_logged(&run_folder);
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("stopped before step") && stderr.contains("--resume"), "{stderr}");
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["errors"].as_array().unwrap().len(), 1);
    let stopped = steps_logged(&run_folder);
    // one step may be under way when the signal is sent, one more end before it arrives
    assert!((before..=before + 2).contains(&stopped) && stopped < 25, "{before} then {stopped}");
    assert!(run_folder.join(format!("checkpoints/step-{stopped:08}")).is_dir());
    let whole = [&["train", "train.toml", "--set", "out=whole"], options.as_slice()].concat();
    assert_eq!(run(folder.path(), &whole).code, Some(0));
    assert_eq!(run(folder.path(), &args).code, Some(0));
    assert_same_run(&run_folder, &folder.path().join("whole"));
}

/// A small file system of its own; `None` where this is not allowed.
#[cfg(target_os = "linux")]
struct SmallDisk(tempfile::TempDir);

#[cfg(target_os = "linux")]
impl SmallDisk {
    fn new(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status();
        mounted.is_ok_and(|s| s.success()).then_some(Self(folder))
    }
}

#[cfg(target_os = "linux")]
impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.path()).status();
    }
}

#[cfg(target_os = "linux")]
#[test]
#[expect(clippy::print_stderr, reason = "a test that is left out says so")]
fn a_full_disk_leaves_the_previous_checkpoint_usable_and_says_so() {
    const SIZE_KIB: usize = 8192;
    let Some(disk) = SmallDisk::new(&format!("{SIZE_KIB}k")) else {
        eprintln!("left out: a small file system cannot be mounted here");
        return;
    };
    let folder = with_cells();
    let (run_folder, filler) = (disk.0.path().join("run"), disk.0.path().join("filler"));
    let out = format!("out={}", run_folder.display());
    let args = ["train", "train.toml", "--resume", "--set", &out];
    // room for logs and a few checkpoints, in some cases only for part of one
    let kib = |path: &Path| std::fs::metadata(path).unwrap().len().div_ceil(4096) as usize * 4;
    let whole = trained().join("run");
    let before_training =
        ["config.toml", "preprocess.json", "prompts.toml", "reference.json", "schema.json", "tokenizer.json"];
    let begun: usize = before_training.iter().map(|name| kib(&whole.join(name))).sum();
    let checkpoint: usize = ["model.bpk", "optimiser.bpk", "state.json"]
        .iter()
        .map(|name| kib(&whole.join("checkpoints/step-00000060").join(name)))
        .sum();
    let mut refused = 0;
    for percent in [110, 155, 175, 210] {
        let free_kib = begun + checkpoint * percent / 100;
        let _ = std::fs::remove_dir_all(&run_folder);
        std::fs::write(&filler, vec![0; (SIZE_KIB - free_kib) * 1024]).unwrap();
        let ended = run(folder.path(), &args);
        ended.refused(1, &["No space left on device"]);
        let checkpoints = std::fs::read_dir(run_folder.join("checkpoints")).into_iter().flatten().flatten();
        let kept: Vec<_> = checkpoints.map(|e| e.file_name().into_string().unwrap()).collect();
        if ended.stderr.contains("cannot write a checkpoint") {
            assert!(ended.stderr.contains("earlier ones are intact"), "{}", ended.stderr);
            assert!(kept.iter().all(|name| !name.contains("writing")), "{kept:?}");
            refused += usize::from(kept.iter().any(|name| name.starts_with("step-")));
        }
        std::fs::remove_file(&filler).unwrap();
        let resumed = run(folder.path(), &args);
        assert_eq!(resumed.code, Some(0), "{}", resumed.stderr);
        assert_same_run(&run_folder, &trained().join("run"));
    }
    assert!(refused > 0, "no case left a checkpoint behind");
}
