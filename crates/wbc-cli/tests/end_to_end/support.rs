//! Runs the command, and makes what several tests need once: synthetic cells and a small trained run.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use wbc_clip::core::AttributeSchema;
use wbc_clip::data::{SyntheticOptions, synthetic_samples};

/// A small training of the measurement branch on `cells.csv`; 60 steps, a checkpoint after every second.
pub(crate) const TRAINING: &str = "\
out = 'run'
train = 'cells.csv:train'
validation = 'cells.csv:val'
view.shifted_copies = 1

[model]
branches = 'measurements'
embed_dim = 16
measurements = { hidden = 16 }
text = { width = 16, depth = 1, heads = 2, max_len = 32 }
tokenizer = { vocab_size = 300 }

[optimiser]
epochs = 12
batch_size = 16
warmup_steps = 4
validations = 6
checkpoint_steps = 2
";
/// Steps of [`TRAINING`]: 40 cells with a copy each, in batches of 16.
pub(crate) const STEPS: usize = 60;

/// How a call of the command ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ended {
    fn new(output: Output) -> Self {
        let stderr = String::from_utf8(output.stderr).expect("messages are UTF-8");
        assert!(!stderr.contains("panicked"), "{stderr}");
        Self { code: output.status.code(), stdout: output.stdout, stderr }
    }

    /// Standard output, which must be exactly one JSON document.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|e| {
            panic!("standard output is not one document ({e}): {}", String::from_utf8_lossy(&self.stdout))
        })
    }

    /// The `errors` of the document as `item: cause`; each must be on standard error, too.
    pub(crate) fn errors(&self) -> Vec<String> {
        let document = self.json();
        let errors = document["errors"].as_array().expect("a list of errors");
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let stderr = words(&self.stderr);
        let line = |error: &Value| {
            let [item, cause] = ["item", "cause"].map(|field| error[field].as_str().expect("text"));
            assert!(stderr.contains(&words(cause)), "{cause} is not on standard error: {}", self.stderr);
            format!("{item}: {cause}")
        };
        errors.iter().map(line).collect()
    }

    /// Expects failure with this status and a message with all these parts.
    #[track_caller]
    pub(crate) fn refused(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        let errors = self.errors().join("\n");
        for part in parts {
            assert!(errors.contains(part), "`{part}` is not in: {errors}");
        }
    }
}

/// The command with `--json`, to be run in a folder, without data folder, with the tests' own view cache.
pub(crate) fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wbc-clip"));
    command.args(["--json", "--cache"]).arg(cache()).args(args).current_dir(folder).env_remove("WBC_CLIP_DATA");
    command
}

/// Runs the command with `--json`.
pub(crate) fn run(folder: &Path, args: &[&str]) -> Ended {
    Ended::new(command(folder, args).output().expect("the command starts"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("end-to-end")
}

fn cache() -> PathBuf {
    root().join("cache")
}

/// A folder with `cells.csv` (40 training and 12 validation cells, PNGs beside it), `train.toml` and the finished run
/// `run`; it must not be changed.
pub(crate) fn trained() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = root().join("trained");
        let _ = std::fs::remove_dir_all(root());
        std::fs::create_dir_all(&folder).expect("a folder for tests");
        write_cells(&folder);
        let ended = run(&folder, &["train", "train.toml"]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        folder
    })
}

/// Writes the cells of [`trained`] and their configuration into a folder.
fn write_cells(folder: &Path) {
    let schema = AttributeSchema::wbcatt();
    let options = SyntheticOptions { n_train: 40, n_val: 12, n_test: 0, ..SyntheticOptions::default() };
    let names: Vec<&str> = schema.attributes.iter().map(|a| a.name.as_str()).collect();
    let mut table = format!("path,id,label,split,{}\n", names.join(","));
    for sample in synthetic_samples(&options, &schema) {
        let image = sample.image.load(&Default::default()).expect("a generated image");
        image.save(folder.join(format!("{}.png", sample.id))).expect("an image file");
        let values: Vec<&str> = names.iter().map(|n| sample.annotation.value(&schema, n).unwrap_or_default()).collect();
        let cell_type = sample.annotation.cell_type.as_ref().expect("a type");
        let split = sample.split.as_deref().expect("a split");
        table += &format!("{0}.png,{0},{cell_type},{split},{1}\n", sample.id, values.join(","));
    }
    std::fs::write(folder.join("cells.csv"), table).expect("a manifest");
    std::fs::write(folder.join("train.toml"), TRAINING).expect("a configuration");
}

/// A new folder with the cells of [`trained`], but without its run.
pub(crate) fn with_cells() -> tempfile::TempDir {
    let new = tempfile::tempdir().expect("a folder");
    copy_files(trained(), new.path());
    new
}

/// Copies the files directly in a folder.
pub(crate) fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").map(|e| e.expect("an entry").path()) {
        if entry.is_file() {
            std::fs::copy(&entry, to.join(entry.file_name().expect("a name"))).expect("a copy");
        }
    }
}

/// Paths of the images of [`trained`], sorted.
pub(crate) fn cell_images() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(trained()).expect("a folder").map(|e| e.expect("an entry").path());
    let mut images: Vec<PathBuf> = entries.filter(|p| p.extension().is_some_and(|e| e == "png")).collect();
    images.sort();
    images
}

/// The rows of a CSV by id, without the columns `id` and `path`.
pub(crate) fn rows(table: &Path) -> std::collections::BTreeMap<String, Vec<String>> {
    let text = std::fs::read_to_string(table).expect("a table");
    let lines = text.lines().skip(1).map(|l| l.split(',').map(str::to_owned).collect::<Vec<_>>());
    lines.map(|fields| (fields[0].clone(), fields[2..].to_vec())).collect()
}
