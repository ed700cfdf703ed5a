//! Several runs, or evaluations made before, on one page.

use super::out::check_out;
use super::{curves, evaluated_with_cells, with_cells};
use crate::files::{read_text, write_atomic};
use crate::{Error, EvaluateOptions, Run, RunConfig, Session, evaluate, open_class_descriptions};
use serde::{Deserialize, Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use wbc_core::{Warning, Warnings};
use wbc_data::DataError;
use wbc_eval::{ComparedRun, EvalDocument, Report, RunComparison, Setting};

/// Larger evaluations are not read; one dataset has some tens of kilobytes.
const MAX_DOCUMENT_BYTES: u64 = 64 << 20;

/// How runs are compared.
#[derive(Clone, Debug)]
pub struct CompareOptions {
    /// What run folders are evaluated on; the run's own validation cells where empty.
    pub datasets: Vec<String>,
    /// How they are evaluated; its `described` is not looked at, since attributes are those of each run.
    pub evaluate: EvaluateOptions,
    /// A file of class descriptions, see [`open_class_descriptions`].
    pub described: Option<PathBuf>,
    /// Whether the page shows cells of the first dataset: some thumbnails, mistakes, searches and explanations per run;
    /// the last not where types are asked for, since explanations weigh all that a run knows.
    pub pictures: bool,
    /// Device.
    pub device: String,
}

/// What was compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ComparedInput {
    /// What the page calls it.
    pub name: String,
    /// A run folder, or an evaluation (`.json`).
    #[serde(serialize_with = "shown")]
    pub path: PathBuf,
    /// The datasets whose figures it brought.
    pub datasets: Vec<String>,
}

/// What [`compare_runs`] did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CompareSummary {
    /// The page.
    #[serde(serialize_with = "shown")]
    pub out: PathBuf,
    /// What is on it, in its order.
    pub runs: Vec<ComparedInput>,
    /// What failed, while the rest was done.
    pub errors: Vec<Warning>,
}

/// A path as messages show it; it need not be UTF-8.
fn shown<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// Writes one page that compares runs: figures beside each other by dataset, where configurations differ, and what there
/// is to say of each run alone.
///
/// An input is `PATH` or `NAME=PATH`: a run folder, or a file `….json` with what `eval --json` printed, of which nothing
/// is computed anew and no cell is shown. Names, runs, evaluations, types, the descriptor, descriptions and the place of
/// the page are checked before anything is evaluated; datasets are opened in their turn. Then run after run, so that one
/// model at a time is in memory. A dataset or a run that fails enters `errors`, the others are on the page.
///
/// # Errors
/// [`Error::Usage`] for two inputs of one name, for an output that would replace an input, a file of a run folder or of
/// the data folder or an image, and where evaluation is asked for but no run folder given; [`Error::Run`], [`Error::Io`]
/// and [`Error::Data`] naming the input that cannot be used; [`DataError::Cancelled`].
pub fn compare_runs(
    inputs: &[String],
    out: &Path,
    options: &CompareOptions,
    session: &Session,
) -> Result<CompareSummary, Error> {
    let mut inputs = named(inputs)?;
    let files = inputs.iter().map(|input| &*input.path).chain(options.described.as_deref());
    check_out(out, files, &options.datasets, session)?;
    let read = |input: &ComparedInput| is_document(&input.path).then(|| read_document(&input.path)).transpose();
    let documents: Vec<Option<EvalDocument>> = inputs.iter().map(read).collect::<Result<_, _>>()?;
    let asked = &options.evaluate;
    let further = asked.shifts || asked.words || asked.selective || asked.descriptor.is_some();
    let evaluates = !options.datasets.is_empty() || options.described.is_some() || asked.classes.is_some() || further;
    if evaluates && documents.iter().all(Option::is_some) {
        return Err(Error::Usage("an evaluation is as it is: datasets and further figures need a run folder".into()));
    }
    let mut configs = Vec::with_capacity(inputs.len());
    for (input, document) in inputs.iter().zip(&documents) {
        configs.push(match document {
            Some(_) => None,
            None => Some(checked(input, options)?),
        });
    }
    // what runs are evaluated on unless told otherwise, and what their words are judged by
    let own = configs.iter().flatten().flat_map(|config| [config.train.clone(), config.validation.clone()]);
    check_out(out, std::iter::empty(), &own.collect::<Vec<_>>(), session)?;
    let settings = settings(&configs)?;

    let mut runs = Vec::with_capacity(inputs.len());
    for (input, document) in inputs.iter().zip(documents) {
        let place = input.path.display().to_string();
        let report = match document {
            Some(evaluation) => {
                let summary = vec![("Evaluation".to_owned(), place)];
                Report { summary, evaluation: Some(evaluation), ..Report::default() }
            }
            None => {
                let found = Run::open(&input.path, &options.device).and_then(|run| evaluated(&run, options, session));
                // what was interrupted is no evaluation
                if session.cancel.is_cancelled() {
                    return Err(DataError::Cancelled.into());
                }
                let mut report = or_failed(found);
                report.summary.insert(0, ("Run folder".to_owned(), place));
                report
            }
        };
        runs.push(ComparedRun { name: input.name.clone(), report });
    }
    let title = match &inputs[..] {
        [only] => format!("WBC-CLIP: {}", only.name),
        _ => "WBC-CLIP runs compared".into(),
    };
    let page = RunComparison { title, runs, settings };
    write_atomic(out, page.to_html())?;

    let mut errors = Vec::new();
    for (input, run) in inputs.iter_mut().zip(&page.runs) {
        let Some(evaluation) = &run.report.evaluation else { continue };
        input.datasets = evaluation.datasets.iter().map(|d| d.id.clone()).collect();
        let failed = evaluation.errors.iter();
        errors.extend(failed.map(|e| Warning { item: format!("{}: {}", run.name, e.item), cause: e.cause.clone() }));
    }
    Ok(CompareSummary { out: out.to_owned(), runs: inputs, errors })
}

/// The configuration of a run of which everything is there that a page needs, but for its datasets.
fn checked(input: &ComparedInput, options: &CompareOptions) -> Result<RunConfig, Error> {
    let run = Run::open(&input.path, &options.device)?;
    options.evaluate.check(&format!("the run `{}`", input.name), run.trained.space.types())?;
    options.described.as_ref().map(|file| open_class_descriptions(file, &run)).transpose()?;
    curves(&run)?;
    Ok(run.config)
}

/// What is known of a run, or else why nothing is: runs that are evaluated before and after it are worth a page.
fn or_failed(found: Result<Report, Error>) -> Report {
    found.unwrap_or_else(|e| {
        let failed = Warnings::new();
        failed.push_error("evaluation", &e);
        Report { evaluation: Some(EvalDocument::new(Vec::new(), failed.sorted())), ..Report::default() }
    })
}

/// All that a page says of one run.
fn evaluated(run: &Run, options: &CompareOptions, session: &Session) -> Result<Report, Error> {
    let own = [run.config.validation.clone()];
    let datasets = if options.datasets.is_empty() { &own[..] } else { &options.datasets[..] };
    let described = options.described.as_ref().map(|file| open_class_descriptions(file, run)).transpose()?;
    let asked = EvaluateOptions { described, ..options.evaluate.clone() };
    if !options.pictures {
        return with_cells(run, evaluate(run, datasets, &asked, session)?, None);
    }
    let (mut evaluation, cells) = evaluated_with_cells(run, datasets, &asked, session)?;
    let cells = cells.transpose().unwrap_or_else(|e| {
        let failed = Warnings::new();
        let of = evaluation.datasets.first().map_or("", |d| d.id.as_str());
        failed.push_error(format!("cells of {of}"), &e);
        evaluation.errors.extend(failed.sorted());
        None
    });
    with_cells(run, evaluation, cells)
}

/// What was typed, with a name for each: the one given, else the last part of the path, else, where others end alike, the
/// whole path.
fn named(inputs: &[String]) -> Result<Vec<ComparedInput>, Error> {
    let given = |text: &String| match text.split_once('=') {
        // a path may hold the sign, too
        Some((name, path)) if !name.trim().is_empty() && !Path::new(text).exists() => {
            (Some(name.trim().to_owned()), PathBuf::from(path))
        }
        _ => (None, PathBuf::from(text)),
    };
    let given: Vec<(Option<String>, PathBuf)> = inputs.iter().map(given).collect();
    let short = |path: &Path| {
        let last = if is_document(path) { path.file_stem() } else { path.file_name() };
        last.map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
    };
    let alike = |path: &Path| given.iter().filter(|(name, p)| name.is_none() && short(p) == short(path)).count() > 1;
    let name = |(name, path): &(Option<String>, PathBuf)| match name {
        Some(name) => name.clone(),
        None if alike(path) => path.display().to_string(),
        None => short(path),
    };
    let names: Vec<String> = given.iter().map(name).collect();
    if let Some(twice) = names.iter().enumerate().find_map(|(i, n)| names[..i].contains(n).then_some(n)) {
        return Err(Error::Usage(format!("two runs are called `{twice}`: give names, NAME=PATH")));
    }
    let inputs = names.into_iter().zip(given);
    Ok(inputs.map(|(name, (_, path))| ComparedInput { name, path, datasets: Vec::new() }).collect())
}

fn is_document(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) && !path.is_dir()
}

/// What every document of the command begins with.
#[derive(Deserialize)]
struct Head {
    schema: String,
    version: u32,
}

fn read_document(path: &Path) -> Result<EvalDocument, Error> {
    let refused = |cause: String| Error::Data(format!("not a usable evaluation ({cause}): {}", path.display()));
    let len = std::fs::metadata(path).map_err(Error::io(path))?.len();
    if len > MAX_DOCUMENT_BYTES {
        return Err(refused(format!("{len} bytes are more than {MAX_DOCUMENT_BYTES}")));
    }
    let text = read_text(path)?;
    // before all else: what another document or version calls its parts is no mistake
    let head: Head = serde_json::from_str(&text).map_err(|e| refused(e.to_string()))?;
    if (head.schema.as_str(), head.version) != (EvalDocument::SCHEMA, EvalDocument::VERSION) {
        let (schema, version) = (EvalDocument::SCHEMA, EvalDocument::VERSION);
        let found = format!("{} version {}", head.schema, head.version);
        return Err(refused(format!("{found} where {schema} version {version} is expected")));
    }
    serde_json::from_str(&text).map_err(|e| refused(e.to_string()))
}

/// Keys that not all known configurations have alike, apart from `out`, which never is.
fn settings(configs: &[Option<RunConfig>]) -> Result<Vec<Setting>, Error> {
    let flat = |config: &RunConfig| -> Result<BTreeMap<String, String>, Error> {
        let invalid = |e: toml::de::Error| Error::Config { place: "config.toml".into(), cause: e.to_string() };
        let mut keys = BTreeMap::new();
        flatten("", &toml::from_str::<toml::Table>(&config.to_toml()?).map_err(invalid)?, &mut keys);
        keys.remove("out");
        Ok(keys)
    };
    let all: Vec<Option<BTreeMap<String, String>>> =
        configs.iter().map(|config| config.as_ref().map(flat).transpose()).collect::<Result<_, _>>()?;
    let keys: BTreeSet<&String> = all.iter().flatten().flat_map(BTreeMap::keys).collect();
    let differs = |key: &&String| {
        let values: BTreeSet<Option<&String>> = all.iter().flatten().map(|config| config.get(*key)).collect();
        values.len() > 1
    };
    let setting = |key: &String| Setting {
        key: key.clone(),
        values: all.iter().map(|config| config.as_ref().and_then(|c| c.get(key)).cloned()).collect(),
    };
    Ok(keys.into_iter().filter(differs).map(setting).collect())
}

/// Dotted keys of a table with their values as text.
fn flatten(prefix: &str, table: &toml::Table, keys: &mut BTreeMap<String, String>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => flatten(&key, inner, keys),
            toml::Value::String(text) => drop(keys.insert(key, text.clone())),
            other => drop(keys.insert(key, other.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(inputs: &[&str]) -> Result<Vec<String>, Error> {
        let inputs: Vec<String> = inputs.iter().map(|i| (*i).to_owned()).collect();
        Ok(named(&inputs)?.into_iter().map(|i| i.name).collect())
    }

    #[test]
    fn runs_are_called_by_the_end_of_their_path_unless_told_otherwise() {
        assert_eq!(names(&["runs/a", "before/b.json", "old=runs/c"]).unwrap(), ["a", "b", "old"]);
        assert_eq!(names(&["x/run", "y/run", "z/other"]).unwrap(), ["x/run", "y/run", "other"]);
        for twice in [&["a=x", "a=y"][..], &["x/run", "x/run"], &["b", "b=c"]] {
            let refused = names(twice).unwrap_err();
            assert!(refused.is_usage() && refused.to_string().contains("NAME=PATH"), "{refused}");
        }
        // a path that is there is a path
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lr=0.1");
        std::fs::create_dir(&path).unwrap();
        let found = named(&[path.display().to_string()]).unwrap();
        assert_eq!((found[0].name.as_str(), &found[0].path), ("lr=0.1", &path));
    }

    #[test]
    fn a_run_that_fails_late_leaves_the_others_on_the_page() {
        let failed = or_failed(Err(Error::Data("no memory left".into())));
        let other = Report { evaluation: Some(EvalDocument::new(vec![], vec![])), ..Report::default() };
        let runs = [("a", failed), ("b", other)].map(|(name, report)| ComparedRun { name: name.into(), report });
        let html = RunComparison { runs: runs.into(), ..RunComparison::default() }.to_html();
        assert!(html.contains("What failed") && html.contains("a: evaluation</b>: no memory left"), "{html}");
        assert!(html.contains("id=\"run-0\"") && html.contains("id=\"run-1\""), "{html}");
        assert_eq!(or_failed(Ok(Report { title: "x".into(), ..Report::default() })).title, "x");
    }

    #[test]
    fn only_evaluations_are_read_and_others_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("before.json");
        let refused = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_document(&path).unwrap_err().to_string()
        };
        let good = serde_json::to_string(&EvalDocument::new(vec![], vec![])).unwrap();
        for (text, part) in [
            (good.replace("wbc-clip.eval", "wbc-clip.train"), "wbc-clip.train version 1"),
            (good.replace("\"version\":1", "\"version\":2"), "wbc-clip.eval version 2"),
            (good.replace("\"datasets\"", "\"sets\""), "sets"),
            ("no json".into(), "line 1"),
        ] {
            let refused = refused(&text);
            assert!(refused.contains(part) && refused.contains("before.json"), "{part} in {refused}");
        }
        std::fs::write(&path, good).unwrap();
        assert_eq!(read_document(&path).unwrap(), EvalDocument::new(vec![], vec![]));
        let missing = read_document(&folder.path().join("gone.json")).unwrap_err().to_string();
        assert!(missing.contains("gone.json"), "{missing}");
    }

    #[test]
    fn settings_are_those_that_differ_between_known_configurations() {
        let config = |text: &str| {
            let text = format!("train = 'a'\nvalidation = 'b'\n{text}");
            Some(RunConfig::parse(&text, &[], "x.toml").unwrap())
        };
        let one = config("out = 'x'\n[optimiser]\nepochs = 3\nema_decay = 0.9");
        let other = config("out = 'y'\n[optimiser]\nepochs = 4");
        let found = settings(&[one.clone(), None, other]).unwrap();
        let row = |key: &str, values: [Option<&str>; 3]| Setting {
            key: key.into(),
            values: values.map(|v| v.map(str::to_owned)).to_vec(),
        };
        assert!(found.contains(&row("optimiser.epochs", [Some("3"), None, Some("4")])), "{found:?}");
        assert!(
            found.iter().any(|s| s.key == "optimiser.ema_decay" && s.values[0].as_deref() == Some("0.9")),
            "{found:?}"
        );
        assert!(found.iter().all(|s| s.key.starts_with("optimiser.")), "neither `out` nor what is alike: {found:?}");
        assert!(settings(&[one, None]).unwrap().is_empty());
    }
}
