use crate::files::make_dir;
use crate::report::report;
use crate::{Error, EvaluateOptions, Run, RunConfig, Session, train};
use std::path::Path;
use wbc_eval::EvalDocument;

/// The demonstration's configuration, also readable as an example.
const CONFIG: &str = include_str!("../configs/demo.toml");
/// The cells that are reported on.
const HELD_OUT: &str = "synthetic:test";

/// How the demonstration runs.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Device.
    pub device: String,
    /// Seed; the configuration's where `None`.
    pub seed: Option<u64>,
}

/// The whole of it on synthetic cells: they are generated, measured and captioned, a model is trained, evaluated on
/// cells held out and explained. Writes `out/run` and `out/report.html`; an interrupted demonstration is continued.
///
/// # Errors
/// Those of [`train`] and [`crate::evaluate`].
pub fn demo(out: &Path, options: &DemoOptions, session: &Session) -> Result<EvalDocument, Error> {
    make_dir(out)?;
    let folder = out.join("run");
    let mut config = RunConfig::parse(CONFIG, &[], "demo.toml")?;
    config.out = folder.clone();
    config.device.clone_from(&options.device);
    config.seed = options.seed.unwrap_or(config.seed);
    train(&config, true, session)?;
    let run = Run::open(&folder, &options.device)?;
    let options = EvaluateOptions { seed: config.seed, selective: true, ..EvaluateOptions::default() };
    report(&run, HELD_OUT, &options, &out.join("report.html"), session)
}
