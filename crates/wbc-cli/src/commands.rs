use crate::Done;
use crate::args::{Cli, Command, Format, Method};
use crate::output::{columns, note, print_failures, print_json, print_text};
use crate::progress::Terminal;
use crate::weights::weights;
use anyhow::Result;
use serde::Serialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wbc_clip::caption::Register;
use wbc_clip::core::{CellType, PixelSize, Warning};
use wbc_clip::data::DataStore;
use wbc_clip::eval::{EvalDocument, TableStyle, render};
use wbc_clip::explain::HeatKind;
use wbc_clip::morphology::{AgreementFigures, DiceFigures, measurement_schema};
use wbc_clip::{
    DemoOptions, DeviceReport, Error, EvaluateOptions, ExplainEvaluationOptions, ExplainOptions, ExportFormat,
    MeasureOptions, Query, Run, RunConfig, SegmentMethod, SegmentOptions, Session,
};

/// Where datasets lie.
const DATA_VARIABLE: &str = "WBC_CLIP_DATA";

/// Does what the command line asks.
pub(crate) fn run(cli: &Cli) -> Result<Done> {
    let device = match &cli.device {
        Some(name) => name.clone(),
        None => wbc_clip::compiled_devices().first().map_or_else(String::new, ToString::to_string),
    };
    if cli.device.is_some() {
        wbc_clip::device(&device)?; // wrong usage, whatever the command
    }
    let session = session(cli)?;
    match &cli.command {
        Command::Demo { out } => {
            let options = DemoOptions { device: device.clone(), seed: cli.seed };
            let document = wbc_clip::demo(out, &options, &session)?;
            note(&format!("report: {}", out.join("report.html").display()));
            evaluation(cli, &document)
        }
        Command::Data(command) => crate::data::run(cli, command, &session),
        Command::Segment { input, out, method, evaluate } => {
            let options = SegmentOptions { method: (*method).into(), evaluate: *evaluate };
            let done = wbc_clip::segment(input, out, &options, &session)?;
            let mut text = format!("{} masks in {}, {} without a cell", done.n, out.display(), done.n_no_cell);
            if let Some(figures) = &done.agreement {
                text += &agreement(figures);
            }
            finish(cli, "wbc-clip.segment", &done, &done.errors, &text)
        }
        Command::Measure {
            input: Some(input),
            out: Some(out),
            masks,
            method,
            pixel_size,
            plot,
            plot_measurements,
            ..
        } => {
            let options = MeasureOptions {
                masks: masks.clone(),
                method: (*method).into(),
                pixel_size_um: pixel_size.map(PixelSize),
                plot: plot.clone(),
                plotted: plot_measurements.clone(),
            };
            let done = wbc_clip::measure(input, out, &options, &session)?;
            let text = format!(
                "{} cells, {} measurements each, in {}; {} without a cell",
                done.n,
                done.n_measurements,
                out.display(),
                done.n_no_cell
            );
            finish(cli, "wbc-clip.measure", &done, &done.errors, &text)
        }
        Command::Measure { .. } => {
            let schema = measurement_schema();
            let rows = schema
                .measurements
                .iter()
                .map(|m| [&m.name, m.unit.symbol(), &m.definition, &m.source].map(str::to_owned).to_vec());
            let text = columns(&rows.collect::<Vec<_>>());
            finish(cli, "wbc-clip.measurements", &json!({ "measurements": schema }), &[], &text)
        }
        Command::Describe(command) => crate::describe::run(cli, command, &session),
        Command::Caption(args) => crate::caption::run(cli, args, &session),
        Command::Train { config, resume, changes } => train(cli, config, *resume, changes, &session),
        Command::Eval { run, datasets, register, asked, no_cell, no_cell_images } => {
            let register = register.as_deref().map(Register::from_name).transpose();
            let register = register.map_err(|e| Error::Usage(e.to_string()))?;
            let run = Run::open(run, &device)?;
            let described = asked.described.as_ref();
            let options = EvaluateOptions {
                register,
                described: described.map(|file| wbc_clip::open_class_descriptions(file, &run)).transpose()?,
                no_cell: *no_cell,
                no_cell_images: no_cell_images.clone(),
                ..asked.options(cli.seed, &session)?
            };
            let document = wbc_clip::evaluate(&run, datasets, &options, &session)?;
            evaluation(cli, &document)
        }
        Command::Report(args) => crate::report::run(cli, args, &device, &session),
        Command::Classify { input, run, out } => {
            if let Some(out) = out {
                let other =
                    |e: &std::ffi::OsStr| ["parquet", "json", "jsonl"].iter().any(|o| e.eq_ignore_ascii_case(o));
                if out.extension().is_some_and(other) {
                    let cause = format!("a classification is written as CSV, {} says otherwise", out.display());
                    return Err(Error::Usage(cause).into());
                }
                can_be_written(out, input)?;
            }
            let run = given_or_bundled(run.as_deref(), &device)?;
            let done = wbc_clip::classify(&run, input, &session)?;
            if let Some(out) = out {
                done.write_csv(&run, out)?;
            }
            finish(cli, "wbc-clip.classify", &done, &done.errors, &classified(&run, &done))
        }
        Command::Embed { run, input, out } => {
            let run = Run::open(run, &device)?;
            can_be_written(out, input)?;
            let (n, errors) = wbc_clip::embed(&run, input, out, &session)?;
            let done = json!({ "n": n, "out": out.display().to_string(), "errors": errors });
            finish(cli, "wbc-clip.embed", &done, &errors, &format!("{n} cells in {}", out.display()))
        }
        Command::Search { run, index, query, k } => {
            let query = match (&query.text, &query.image) {
                (Some(text), _) if text.trim().is_empty() => return Err(Error::Usage("--text is empty".into()).into()),
                (Some(text), _) => Query::Text(text.clone()),
                (None, Some(image)) => Query::Image(image.clone()),
                (None, None) => return Err(Error::Usage("--text or --image is needed".into()).into()),
            };
            let run = Run::open(run, &device)?;
            let found = wbc_clip::search(&run, index, &query, k.get(), &session)?;
            let row = |h: &wbc_clip::SearchHit| {
                vec![h.rank.to_string(), format!("{:.4}", h.score), h.id.clone(), h.path.clone().unwrap_or_default()]
            };
            let rows: Vec<_> = found.hits.iter().map(row).collect();
            finish(cli, "wbc-clip.search", &found, &[], &columns(&rows))
        }
        Command::Explain { input, run, out, phrases, heat, evaluate, limit } => {
            let run = given_or_bundled(run.as_deref(), &device)?;
            let heat_maps = heat.map(HeatKind::from);
            if *evaluate {
                let seed = cli.seed.unwrap_or(0);
                let methods = heat_maps.map(|kind| vec![kind]);
                let options = ExplainEvaluationOptions { limit: limit.get(), methods, seed };
                return crate::explain::evaluate(cli, &run, input, &options, &session);
            }
            let options = ExplainOptions { phrases: phrases.clone(), heat_maps };
            let explanation = wbc_clip::explain_image(&run, Path::new(input), out.as_deref(), &options, &session)?;
            if cli.json {
                print_json(&explanation)?;
            } else {
                print_text(&crate::explain::explained(&explanation))?;
            }
            Ok(Done::All)
        }
        Command::Views { run, input, out } => {
            let run = Run::open(run, &device)?;
            let done = wbc_clip::write_views(&run, input, out, &session)?;
            let text = format!("{} views of {} px in {}", done.n, done.side, out.display());
            finish(cli, "wbc-clip.views", &done, &done.errors, &text)
        }
        Command::Devices { probe } => devices(cli, *probe),
        Command::Weights(command) => weights(cli, &device, command),
        Command::Export { run, format, out } => {
            let run = Run::open(run, &device)?;
            let format = match format {
                Format::Safetensors => ExportFormat::Safetensors,
                Format::SafetensorsF16 => ExportFormat::SafetensorsF16,
                Format::SafetensorsI8 => ExportFormat::SafetensorsI8,
                Format::Onnx => ExportFormat::Onnx,
                Format::OpenClip => ExportFormat::OpenClip,
                Format::Transformers => ExportFormat::Transformers,
            };
            let files = wbc_clip::export(&run, format, out)?;
            let files: Vec<String> = files.iter().map(|f| f.display().to_string()).collect();
            finish(cli, "wbc-clip.export", &json!({ "files": files }), &[], &files.join("\n"))
        }
    }
}

/// The run of a folder, or the model that comes with the program.
fn given_or_bundled(folder: Option<&std::path::Path>, device: &str) -> Result<Run, Error> {
    folder.map_or_else(|| Run::bundled(device), |folder| Run::open(folder, device))
}

impl From<Method> for SegmentMethod {
    fn from(method: Method) -> Self {
        match method {
            Method::Vote => Self::Vote,
            Method::Threshold => Self::Threshold,
        }
    }
}

/// Refuses before the work what could not, or should not, be written after it.
pub(crate) fn can_be_written(out: &Path, input: impl AsRef<Path>) -> Result<(), Error> {
    if let (Ok(out), Ok(input)) = (out.canonicalize(), input.as_ref().canonicalize())
        && out == input
    {
        return Err(Error::Usage(format!("the output would replace the input: {}", out.display())));
    }
    match out.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            Err(Error::Io { path: out.to_owned(), source: std::io::ErrorKind::NotFound.into() })
        }
        _ => Ok(()),
    }
}

fn devices(cli: &Cli, probe_secs: f64) -> Result<Done> {
    if !(0.0..=3600.0).contains(&probe_secs) {
        return Err(Error::Usage(format!("--probe {probe_secs} is not between 0 and 3600 seconds")).into());
    }
    let probe = (probe_secs > 0.0).then(|| std::time::Duration::from_secs_f64(probe_secs));
    let reports = wbc_clip::device_reports(probe);
    let failures = wbc_clip::device_failures(&reports);
    let header = ["device", "compiled", "present", "numbers", "matmul GFLOP/s", "cells/s", ""].map(String::from);
    let yes = |b: bool| if b { "yes" } else { "no" }.to_owned();
    let figure = |x: Option<f64>| x.map_or_else(|| "–".into(), |x| format!("{x:.0}"));
    let row = |r: &DeviceReport| {
        vec![
            r.name.clone(),
            yes(r.compiled),
            yes(r.present),
            r.dtypes.join(" "),
            figure(r.speed.map(|s| s.matmul_gflops)),
            figure(r.speed.map(|s| s.cells_per_sec)),
            r.cause.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = std::iter::once(header.to_vec()).chain(reports.iter().map(row)).collect();
    let done = json!({ "devices": reports, "errors": failures });
    finish(cli, "wbc-clip.devices", &done, &failures, &columns(&rows))
}

fn session(cli: &Cli) -> Result<Session> {
    let store = DataStore::new(std::env::var_os(DATA_VARIABLE).filter(|v| !v.is_empty()).map(PathBuf::from));
    let session = Session {
        store,
        cache: if cli.no_cache { None } else { cli.cache.clone().or_else(user_cache) },
        threads: cli.threads,
        progress: Arc::new(Terminal::default()),
        ..Session::default()
    };
    let cancel = session.cancel.clone();
    ctrlc::set_handler(move || {
        if cancel.is_cancelled() {
            std::process::exit(130); // asked twice: at once
        }
        note("stopping after the current step; once more to stop at once");
        cancel.cancel();
    })?;
    Ok(session)
}

fn user_cache() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let base =
        set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|h| h.join(".cache"))).or_else(|| set("LOCALAPPDATA"))?;
    Some(base.join("wbc-clip").join("views"))
}

/// Prints a result as table or JSON with `schema` and `version`, and what failed on standard error.
pub(crate) fn finish(cli: &Cli, schema: &str, result: &impl Serialize, errors: &[Warning], text: &str) -> Result<Done> {
    if cli.json {
        let mut document = json!({ "schema": schema, "version": 1 });
        if let (Some(all), serde_json::Value::Object(own)) = (document.as_object_mut(), serde_json::to_value(result)?) {
            all.extend(own);
            // what the library calls warnings or failures has one name in all documents
            if all.contains_key("warnings") || all.contains_key("failures") {
                all.insert("errors".into(), serde_json::to_value(errors)?);
            }
        }
        print_json(&document)?;
    } else {
        print_text(text)?;
    }
    print_failures(errors);
    Ok(if errors.is_empty() { Done::All } else { Done::Partly })
}

/// Types by the names that somebody typed.
pub(crate) fn canonical(names: &[String], session: &Session) -> Vec<CellType> {
    let known = &session.store.cell_types;
    names.iter().map(|c| known.canonical(c).unwrap_or_else(|| CellType::new(c))).collect()
}

pub(crate) fn evaluation(cli: &Cli, document: &EvalDocument) -> Result<Done> {
    if cli.json {
        print_json(document)?;
    } else {
        print_text(&render(document, TableStyle::Text))?;
    }
    print_failures(&document.errors);
    Ok(if document.errors.is_empty() { Done::All } else { Done::Partly })
}

fn train(cli: &Cli, config: &std::path::Path, resume: bool, changes: &[String], session: &Session) -> Result<Done> {
    let mut changes = changes.to_vec();
    if let Some(seed) = cli.seed {
        changes.push(format!("seed={seed}"));
    }
    if let Some(device) = &cli.device {
        changes.push(format!("device={device:?}"));
    }
    let config = RunConfig::load(config, &changes)?;
    wbc_clip::device(&config.device)?;
    let outcome = wbc_clip::train(&config, resume, session)?;
    let metrics = outcome.validation.as_ref().map(|v| v.metrics.clone()).unwrap_or_default();
    let rows: Vec<_> = metrics.iter().map(|(name, value)| vec![name.clone(), format!("{value:.4}")]).collect();
    let text = format!("{} steps, run folder {}\n{}", outcome.steps, config.out.display(), columns(&rows));
    let done = json!({
        "out": config.out.display().to_string(),
        "steps": outcome.steps,
        "kept_step": outcome.kept_step,
        "wait_share": outcome.wait_share,
        "validation": metrics,
        "errors": outcome.left_out,
    });
    finish(cli, "wbc-clip.train", &done, &outcome.left_out, &text)
}

/// Types and attributes with their probabilities, a line per cell.
fn classified(run: &Run, done: &wbc_clip::ClassifySummary) -> String {
    let attributes: Vec<&str> = run.trained.prompts.sets.iter().skip(1).map(|s| s.name.as_str()).collect();
    let header = ["id", "type"].into_iter().chain(attributes.iter().copied()).chain(["flags", "path"]);
    let mut rows = vec![header.map(String::from).collect::<Vec<_>>()];
    for cell in &done.cells {
        let guesses = std::iter::once(&cell.cell_type).chain(attributes.iter().map(|a| &cell.attributes[*a]));
        let mut row = vec![cell.id.clone()];
        row.extend(guesses.map(|g| format!("{} {:.3}", g.value, g.probability)));
        row.extend([cell.flags.clone(), cell.path.clone()]);
        rows.push(row);
    }
    columns(&rows)
}

/// Agreement with masks that somebody drew, as a table.
fn agreement(figures: &AgreementFigures) -> String {
    let row = |name: &str, dice: &DiceFigures| {
        format!("\n{name:<8} {:6.4} {:7.4} {:7.4} {:9}", dice.mean, dice.median, dice.min, dice.n_failed)
    };
    let [background, cytoplasm, nucleus] = figures.pooled_iou;
    format!(
        "\n\n{} cells compared\nDice       mean  median     min under 0.5{}{}\n\
         IoU of all pixels: background {background:.4}, cytoplasm {cytoplasm:.4}, nucleus {nucleus:.4}, mean {:.4}",
        figures.n,
        row("nucleus", &figures.nucleus),
        row("cell", &figures.cell),
        figures.pooled_mean_iou
    )
}
