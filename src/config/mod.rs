mod grammar;
mod model;
mod view;

pub(crate) use grammar::GrammarSection;
pub use model::{
    BranchKind, ImageEncoderSection, MeasurementSection, ModelSection, PixelSection, ReadingsSection,
    TextEncoderSection,
};
pub use view::{ViewSection, ViewerKind};

use crate::{Error, RunEncoders};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use wbc_contrastive::OptimiserConfig;
use wbc_core::{AttributeSchema, CellType};
use wbc_data::Augmentation;
use wbc_morphology::MeasurementSet;
use wbc_morphology::describe::DescribeError;

/// What contrast sets are trained towards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContrastTargets {
    /// The annotated value.
    #[default]
    Annotated,
    /// What second annotators call training cells of the annotated value, [`wbc_contrastive::SoftTargets`]; the type as
    /// annotated.
    SecondReaders,
}

impl ContrastTargets {
    fn is_annotated(&self) -> bool {
        *self == Self::Annotated
    }
}

/// Everything that determines a training run; `config.toml` of a run folder holds it with all defaults filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Version of this file.
    #[serde(default = "RunConfig::version")]
    pub version: u32,
    /// Run folder to be written.
    pub out: PathBuf,
    /// Seed of everything random.
    #[serde(default)]
    pub seed: u64,
    /// Device: `flex`, `ndarray`, `libtorch`, `cuda`…
    #[serde(default = "default_device")]
    pub device: String,
    /// Training cells: `DATASET[:split]` or a manifest CSV.
    pub train: String,
    /// Validation cells, of the same distribution.
    pub validation: String,
    /// `grammar`, or a JSON Lines file of captions.
    #[serde(default = "default_captions")]
    pub captions: String,
    /// A JSON Lines file of captions whose clauses of one fact stand in contrast sets beside the prompts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contrast_captions: Option<PathBuf>,
    /// What contrast sets are trained towards.
    #[serde(default, skip_serializing_if = "ContrastTargets::is_annotated")]
    pub contrast_targets: ContrastTargets,
    /// What the grammar writes.
    #[serde(default)]
    pub grammar: GrammarSection,
    /// Candidate types; those that occur in `train` where empty.
    #[serde(default)]
    pub types: Vec<CellType>,
    /// Types whose cells are learned from without their name, in captions and as candidates: what is known of them are
    /// their attributes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unnamed_types: Vec<CellType>,
    /// How cells are looked at.
    #[serde(default)]
    pub view: ViewSection,
    /// Architecture.
    #[serde(default)]
    pub model: ModelSection,
    /// Optimisation.
    #[serde(default)]
    pub optimiser: OptimiserConfig,
    /// Changes of finished views in training.
    #[serde(default)]
    pub augmentation: Augmentation,
}

fn default_device() -> String {
    "flex".into()
}

fn default_captions() -> String {
    GRAMMAR.into()
}

/// The value of `captions` that means the built-in grammar.
pub(crate) const GRAMMAR: &str = "grammar";

/// What a published image encoder is called.
const BACKBONE: &str = "image.pixels.backbone";

impl RunConfig {
    /// The current version of the file format.
    pub const VERSION: u32 = 1;

    fn version() -> u32 {
        Self::VERSION
    }

    /// Reads a file, with `key=value` changes (dotted keys, TOML values; what is no TOML value is taken as text).
    ///
    /// # Errors
    /// [`Error::Config`] naming file, line and key; [`Error::Io`].
    pub fn load(path: &Path, changes: &[String]) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| Error::Config { place: path.display().to_string(), cause: e.to_string() })?;
        Self::parse(&text, changes, &path.display().to_string())
    }

    /// Parses a file's text; `place` is used in errors.
    ///
    /// # Errors
    /// [`Error::Config`] naming place, line and key.
    pub fn parse(text: &str, changes: &[String], place: &str) -> Result<Self, Error> {
        let invalid = |cause: String| Error::Config { place: place.into(), cause };
        let mut table: toml::Table = toml::from_str(text).map_err(|e| invalid(e.to_string()))?;
        // before all else: what another version calls its keys is no mistake
        if let Some(version) = table.get("version").filter(|v| v.as_integer() != Some(i64::from(Self::VERSION))) {
            return Err(invalid(format!(
                "version {version} where {} is expected: it was made by another version of the program",
                Self::VERSION
            )));
        }
        // the text is parsed directly first: only then errors know their line
        match toml::from_str::<Self>(text) {
            Ok(config) if changes.is_empty() => return config.checked(place),
            Err(e) if changes.is_empty() || !e.to_string().contains("missing field") => {
                return Err(invalid(e.to_string()));
            }
            _ => {}
        }
        for change in changes {
            apply(&mut table, change).map_err(|cause| Error::Config { place: format!("--set {change}"), cause })?;
        }
        let with_changes = format!("{place} with --set");
        let config: Self = toml::Value::Table(table)
            .try_into()
            .map_err(|e: toml::de::Error| Error::Config { place: with_changes.clone(), cause: e.to_string() })?;
        config.checked(&with_changes)
    }

    fn checked(self, place: &str) -> Result<Self, Error> {
        let invalid = |cause: String| Err(Error::Config { place: place.into(), cause });
        if self.version != Self::VERSION {
            return invalid(format!("version {} where {} is expected", self.version, Self::VERSION));
        }
        if self.view.viewer != ViewerKind::Canonical && self.model.branches != BranchKind::Pixels {
            return invalid("only the canonical viewer measures: use model.branches = \"pixels\"".into());
        }
        if self.view.viewer == ViewerKind::Published && self.model.image_encoder.is_none() {
            return invalid("the viewer `published` needs model.image_encoder".into());
        }
        if let Some(encoder) = &self.model.image_encoder {
            if self.model.branches == BranchKind::Measurements {
                return invalid("model.image_encoder looks at pixels, model.branches are measurements alone".into());
            }
            let mut targets = self.optimiser.lora.iter().flat_map(|lora| &lora.targets);
            if let Some(target) = targets.find(|t| encoder.frozen && t.starts_with(BACKBONE)) {
                let cause =
                    format!("optimiser.lora.targets: `{target}` is in a frozen encoder, where nothing is learned");
                return invalid(cause);
            }
        }
        if !(16..=1024).contains(&self.view.side) {
            return invalid(format!("view.side is {}, expected 16 to 1024", self.view.side));
        }
        if let Some(readings) = &self.model.readings {
            let refused =
                |e: DescribeError| Error::Config { place: place.into(), cause: format!("model.readings: {e}") };
            readings.fit_options(self.seed).check().map_err(refused)?;
        }
        MeasurementSet::of(&self.view.measurements)
            .map_err(|e| Error::Config { place: place.into(), cause: format!("view: {e}") })?;
        if self.view.shifted_copies > 100 {
            return invalid(format!("view.shifted_copies is {}, expected at most 100", self.view.shifted_copies));
        }
        self.grammar.build(&AttributeSchema::wbcatt())?;
        // what a published encoder is made of is not known yet
        let own = ModelSection { image_encoder: None, text_encoder: None, ..self.model.clone() };
        Self { model: own, ..self.clone() }
            .model_config(1, 1, &RunEncoders::default())
            .and_then(|c| Ok(c.check()?))
            .map_err(|e| Error::Config { place: place.into(), cause: format!("model: {e}") })?;
        if let Some(twice) = self.types.iter().enumerate().find_map(|(i, t)| self.types[..i].contains(t).then_some(t)) {
            return invalid(format!("types names `{twice}` twice"));
        }
        let of_contrast_sets = [
            ("contrast_targets", !self.contrast_targets.is_annotated()),
            ("contrast_captions", self.contrast_captions.is_some()),
        ];
        let needing = of_contrast_sets.iter().find(|(_, asked)| *asked && self.optimiser.contrast_weight == 0.0);
        if let Some((key, _)) = needing {
            return invalid(format!("{key}: optimiser.contrast_weight = 0 leaves the contrast sets out"));
        }
        self.optimiser.check().map_err(|e| Error::Config { place: place.into(), cause: e.to_string() })?;
        self.view
            .shift
            .check()
            .map_err(|e| Error::Config { place: place.into(), cause: format!("view.shift: {e}") })?;
        self.augmentation.check().map_err(|e| Error::Config { place: place.into(), cause: e.to_string() })?;
        Ok(self)
    }

    /// The file's text, complete.
    ///
    /// # Errors
    /// [`Error::Config`] for a value that TOML cannot hold.
    pub fn to_toml(&self) -> Result<String, Error> {
        toml::to_string(self).map_err(|e| Error::Config { place: "config.toml".into(), cause: e.to_string() })
    }
}

/// Sets one dotted key of a table.
fn apply(table: &mut toml::Table, change: &str) -> Result<(), String> {
    let (key, value) = change.split_once('=').ok_or("expected KEY=VALUE")?;
    let (key, value) = (key.trim(), value.trim());
    let value = toml::from_str::<toml::Table>(&format!("v = {value}"))
        .ok()
        .and_then(|mut t| t.remove("v"))
        .unwrap_or_else(|| toml::Value::String(value.into()));
    let mut parts: Vec<&str> = key.split('.').collect();
    let last = parts.pop().filter(|p| !p.is_empty()).ok_or("the key is empty")?;
    let mut at = table;
    for part in parts {
        at = at
            .entry(part)
            .or_insert_with(|| toml::Value::Table(toml::Table::new()))
            .as_table_mut()
            .ok_or_else(|| format!("`{part}` is no table"))?;
    }
    at.insert(last.into(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = "out = 'runs/x'\ntrain = 'wbcatt:train'\nvalidation = 'wbcatt:val'\n";

    #[test]
    fn a_complete_file_reads_back_as_itself() {
        let config = RunConfig::parse(MINIMAL, &[], "x.toml").unwrap();
        assert_eq!(RunConfig::parse(&config.to_toml().unwrap(), &[], "y").unwrap(), config);
    }

    #[test]
    fn changes_reach_into_tables() {
        let changes = ["optimiser.epochs=3", "seed=9", "out=elsewhere", "view.shifted_copies=0"].map(String::from);
        let config = RunConfig::parse(MINIMAL, &changes, "x.toml").unwrap();
        assert_eq!((config.optimiser.epochs, config.seed, config.view.shifted_copies), (3, 9, 0));
        assert_eq!(config.out, PathBuf::from("elsewhere"));
        let without_out = "train = 'a'\nvalidation = 'b'";
        assert!(RunConfig::parse(without_out, &["out=x".into()], "x").is_ok());
    }

    #[test]
    fn another_version_is_said_before_its_unknown_keys() {
        let message = RunConfig::parse(&format!("{MINIMAL}version = 7\nfuture = 1\n"), &[], "x.toml").unwrap_err();
        assert!(message.to_string().contains("version 7 where 1 is expected"), "{message}");
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let unknown = format!("{MINIMAL}epoch = 4\n");
        let message = RunConfig::parse(&unknown, &[], "x.toml").unwrap_err().to_string();
        assert!(message.contains("x.toml") && message.contains("epoch") && message.contains("line 4"), "{message}");
        for change in [
            "optimiser.epochs=0",
            "optimiser.learning_rate=-1",
            "view.viewer=plain",
            "nonsense",
            "a.b=1",
            "model.embed_dim=0",
            "model.text.heads=3",
            "model.measurements.hidden=999999999",
            "model.pixels.patch=15",
            "types=['a', 'a']",
            "view.shift.jpeg_probability=2",
        ] {
            let error = RunConfig::parse(MINIMAL, &[change.into()], "x.toml").unwrap_err();
            assert!(error.is_usage(), "{change}");
        }
    }

    #[test]
    fn targets_of_contrast_sets_are_written_only_where_they_are_not_the_annotation() {
        let plain = RunConfig::parse(MINIMAL, &[], "x.toml").unwrap();
        assert_eq!(plain.contrast_targets, ContrastTargets::Annotated);
        assert!(!plain.to_toml().unwrap().contains("contrast_targets"));
        let text = format!("{MINIMAL}contrast_targets = 'second_readers'\n");
        let soft = RunConfig::parse(&text, &[], "x.toml").unwrap();
        assert_eq!(soft.contrast_targets, ContrastTargets::SecondReaders);
        assert_eq!(RunConfig::parse(&soft.to_toml().unwrap(), &[], "again").unwrap(), soft);
        for (change, said) in [
            ("contrast_targets=third_readers", "third_readers"),
            ("optimiser.contrast_weight=0", "contrast_targets: optimiser.contrast_weight = 0"),
        ] {
            let error = RunConfig::parse(&text, &[change.into()], "x.toml").unwrap_err();
            assert!(error.is_usage() && error.to_string().contains(said), "{error}");
        }
    }

    #[test]
    fn captions_for_contrast_sets_survive_the_configuration_file_and_need_contrast_sets() {
        let text = format!("{MINIMAL}contrast_captions = 'captions.jsonl'\n");
        let config = RunConfig::parse(&text, &[], "x.toml").unwrap();
        assert_eq!(config.contrast_captions.as_deref(), Some(Path::new("captions.jsonl")));
        assert_eq!(RunConfig::parse(&config.to_toml().unwrap(), &[], "again").unwrap(), config);
        assert!(!RunConfig::parse(MINIMAL, &[], "x.toml").unwrap().to_toml().unwrap().contains("contrast_captions"));
        let error = RunConfig::parse(&text, &["optimiser.contrast_weight=0".into()], "x.toml").unwrap_err();
        assert!(error.is_usage() && error.to_string().contains("contrast_captions: optimiser"), "{error}");
    }

    #[test]
    fn fine_tuning_survives_the_configuration_file() {
        let text = format!(
            "{MINIMAL}\n[optimiser]\nfreeze = ['image']\nlayer_decay = 0.75\nlora = {{ targets = ['text.blocks'] }}"
        );
        let config = RunConfig::parse(&text, &["optimiser.ema_decay=0.999".into()], "test").unwrap();
        assert_eq!(config.optimiser.lora.as_ref().map(|l| (l.rank, l.alpha)), Some((8, 16.0)));
        assert_eq!(RunConfig::parse(&config.to_toml().unwrap(), &[], "again").unwrap(), config);
        assert!(RunConfig::parse(&text, &["optimiser.lora.rank=0".into()], "test").is_err());
    }
}
