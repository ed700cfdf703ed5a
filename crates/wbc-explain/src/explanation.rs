use crate::{ExplainError, HeatKind, html};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// One value among those that were weighed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// Type or attribute value.
    pub value: String,
    /// Probability; those of all candidates sum to 1.
    pub probability: f32,
    /// Cosine between the cell and the value's prompt ensemble; absent for measured evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosine: Option<f32>,
}

/// A decision between candidates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// The most probable value.
    pub value: String,
    /// Its probability.
    pub probability: f32,
    /// All candidates, in the order of the run's tables.
    pub candidates: Vec<Candidate>,
}

/// A measurement that votes on an attribute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Voter {
    /// Measurement name.
    pub measurement: String,
    /// How far the cell is from the mean of all training cells, in their standard deviations, clipped as in training.
    pub z: f32,
    /// ANOVA's F over the training cells: variance between the attribute's values over variance within them.
    pub f: f32,
    /// How strongly it speaks for the measured value: its log-likelihood ratio against the mean of the other values.
    pub log_ratio: f32,
}

/// What the measurements alone say about an attribute: Gaussian naive Bayes, see [`crate::TrainingReference::vote`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredEvidence {
    /// The vote.
    pub decision: Decision,
    /// Who voted, the best separating measurement first.
    pub voters: Vec<Voter>,
    /// How often such a vote is right about the training cells, see [`crate::FactReference::accuracy`].
    pub accuracy: Option<f32>,
}

/// One attribute: what the model reads from its prompts beside what the measurements say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributeEvidence {
    /// Attribute name.
    pub name: String,
    /// Spoken name.
    pub title: String,
    /// The model's decision: softmax over scaled cosines with prompt ensembles.
    pub text: Decision,
    /// The measured vote; absent without reference or measurements.
    pub measured: Option<MeasuredEvidence>,
    /// Whether both name the same value; absent without a measured vote.
    pub agrees: Option<bool>,
}

/// Mean and standard deviation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moment {
    /// Mean.
    pub mean: f32,
    /// Standard deviation.
    pub std: f32,
}

/// What one measurement did for the predicted type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MovedBy {
    /// Measurement name.
    pub name: String,
    /// Symbol of the unit; empty for pure numbers.
    pub unit: String,
    /// What is measured.
    pub definition: String,
    /// The cell's value; lengths in pixels are converted to the training optics.
    pub value: f32,
    /// Distance from the training mean in training standard deviations, not clipped; of a flag that is the same in all
    /// training cells, from the mean itself.
    pub z: f32,
    /// By how much the logarithm of the predicted type's probability falls when the measurement is replaced by its
    /// training mean, a flag by one that is not set: positive supports the decision, negative speaks against it.
    pub effect: f32,
    /// All training cells.
    pub training: Moment,
    /// Training cells of the predicted type; absent without reference or such cells.
    pub predicted_type: Option<Moment>,
}

/// A text-conditioned heat map over the cell view.
///
/// Its values say how much each place speaks for the cosine between the pixel branch's embedding and `text`, minus that
/// of `against`. By [`HeatKind::Patches`] they are what each place contributes, and their mean is the pixel branch's own
/// preference for the text (of views as they lie, where it averages over symmetries); by [`HeatKind::Occlusion`] they are
/// by how much it falls when the place is covered; by [`HeatKind::Layers`] they are what each place adds through the
/// encoder's layers, and their mean is about how much more the text is preferred than for an empty view; by
/// [`HeatKind::Gradient`] and [`HeatKind::Superpixels`] they are shares of the cosine per pixel; those of [`HeatKind::Joint`] are these two, each in multiples of its mean size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeatMap {
    /// What was looked for.
    pub text: String,
    /// What it was contrasted with.
    pub against: String,
    /// Attribute name, `type`, or `phrase` for a text of the user's.
    pub about: String,
    /// How it was made.
    #[serde(default = "patches")]
    pub method: HeatKind,
    /// Picture with the map over the view.
    pub file: String,
    /// Smallest value, drawn dark purple.
    pub min: f32,
    /// Largest value, drawn yellow.
    pub max: f32,
    /// Mean value.
    pub mean: f32,
}

/// Maps of explanations that do not say how they were made.
fn patches() -> HeatKind {
    HeatKind::Patches
}

/// A caption near the cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NearestCaption {
    /// The caption.
    pub text: String,
    /// Cosine with the cell.
    pub cosine: f32,
}

/// The description with one attribute value replaced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counterfactual {
    /// Attribute name.
    pub attribute: String,
    /// Spoken name of the attribute.
    pub title: String,
    /// Predicted value.
    pub from: String,
    /// Value put in its place.
    pub to: String,
    /// The changed description.
    pub text: String,
    /// Cosine of the changed description with the cell.
    pub cosine: f32,
    /// Change of the cosine: negative where the cell fits the changed text worse, which supports the prediction;
    /// positive contradicts it.
    pub change: f32,
}

/// The canonical description of the predicted attributes, and what happens when one of them is changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counterfactuals {
    /// The description.
    pub description: String,
    /// Its cosine with the cell.
    pub cosine: f32,
    /// One entry per attribute and other value, in the schema's order.
    pub flips: Vec<Counterfactual>,
    /// The smallest change found of the description that makes it that of another type; absent where none of those tried
    /// does, or where the description is nearer to another type already.
    #[serde(default)]
    pub other_type: Option<OtherType>,
}

/// A fact of a description put otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangedFact {
    /// Attribute name.
    pub attribute: String,
    /// Predicted value.
    pub from: String,
    /// Value put in its place.
    pub to: String,
}

/// The fewest facts found, at most two, that put otherwise make the model's own words take the description for another
/// type: the prompts of the predicted type are no longer the nearest. Of as few, those with the clearest answer. All
/// single facts are tried, and where none is enough pairs of the eight that come nearest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherType {
    /// The type that the description becomes.
    pub to: String,
    /// What is changed.
    pub changes: Vec<ChangedFact>,
    /// The changed description.
    pub text: String,
    /// Cosine of the changed description with the prompts of the other type, minus that with those of the predicted one.
    pub margin: f32,
}

/// A measurement moved just so far that the decision flips.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredChange {
    /// Measurement name.
    pub name: String,
    /// Symbol of the unit; empty for pure numbers.
    pub unit: String,
    /// What is measured.
    pub definition: String,
    /// The cell's value; lengths in pixels are converted to the training optics.
    pub value: f32,
    /// The value that it would need.
    pub needed: f32,
}

/// Changes that flip the decision together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredFlip {
    /// One measurement, or two.
    pub changes: Vec<MeasuredChange>,
    /// Length of the change in training standard deviations, from the cell's own value, however unusual it is.
    pub size: f32,
}

/// The smallest changes found of one or two continuous measurements that make the cell the runner-up, each towards the
/// mean of the runner-up's training cells while all others stay: what the model would have needed, not a cell that could
/// exist. Flags and counts stay. [`MeasuredCounterfactual::searched`] says what was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredCounterfactual {
    /// The predicted type.
    pub from: String,
    /// The runner-up.
    pub to: String,
    /// At most three, the smallest first; empty where none of the changes tried flips the decision.
    pub flips: Vec<MeasuredFlip>,
}

/// Why a model decided as it did about one cell. Stored as `explanation.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    /// [`Explanation::SCHEMA`].
    pub schema: String,
    /// [`Explanation::VERSION`].
    pub version: u32,
    /// Name of the cell.
    pub id: String,
    /// Names of quality flags.
    pub flags: Vec<String>,
    /// The predicted type.
    pub cell_type: Decision,
    /// What the measurements alone say about the type; absent without reference or measurements.
    pub measured_type: Option<MeasuredEvidence>,
    /// The attributes, in the schema's order.
    pub attributes: Vec<AttributeEvidence>,
    /// Measurements that moved the decision on the type most, the strongest first, whether they support it or speak against
    /// it; absent where none is known. Flags are left out without reference.
    pub measurements: Option<Vec<MovedBy>>,
    /// What would make it the runner-up by measurements; absent without reference, measurements or training cells of it.
    #[serde(default)]
    pub counterfactual_measurements: Option<MeasuredCounterfactual>,
    /// Heat maps, the type's first; absent without pixels, which `notes` says.
    pub heat_maps: Option<Vec<HeatMap>>,
    /// Captions of the gallery, the nearest first; absent without a gallery.
    pub nearest_captions: Option<Vec<NearestCaption>>,
    /// Changed descriptions; absent without attributes.
    pub counterfactuals: Option<Counterfactuals>,
    /// What could not be explained, and why.
    pub notes: Vec<String>,
    /// Names of the picture files that belong to it.
    pub files: Vec<String>,
    /// The pictures as PNG by file name; not part of the JSON.
    #[serde(skip)]
    pub pictures: BTreeMap<String, Vec<u8>>,
}

impl Explanation {
    /// Name of the format.
    pub const SCHEMA: &str = "wbc-clip.explanation";
    /// Version of the format.
    pub const VERSION: u32 = 1;
    /// File of [`Self::to_json`] in a folder.
    pub const JSON: &str = "explanation.json";
    /// File of the page in a folder.
    pub const HTML: &str = "explanation.html";
    /// Picture of the image.
    pub const CELL: &str = "cell.png";
    /// Picture of the image with the outlines of cell and nucleus.
    pub const SEGMENTATION: &str = "segmentation.png";
    /// Picture of the cell view.
    pub const VIEW: &str = "view.png";

    /// The JSON text, without pictures.
    ///
    /// # Panics
    /// Never: the structure has only strings, numbers and lists.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain structures serialise")
    }

    /// Reads the JSON text; pictures stay empty.
    ///
    /// # Errors
    /// [`ExplainError::Format`] for JSON that does not parse, another schema or version.
    pub fn from_json(text: &str) -> Result<Self, ExplainError> {
        let invalid = |cause: String| ExplainError::Format { what: "explanation", cause };
        let value: serde_json::Value = serde_json::from_str(text).map_err(|e| invalid(e.to_string()))?;
        if value["schema"] != Self::SCHEMA || value["version"] != Self::VERSION {
            return Err(invalid(format!("expected {} version {}", Self::SCHEMA, Self::VERSION)));
        }
        serde_json::from_value(value).map_err(|e| invalid(e.to_string()))
    }

    /// Writes pictures, `explanation.json` and the self-contained page `explanation.html` into a folder, which is made
    /// where it is missing.
    ///
    /// # Errors
    /// [`ExplainError::Io`] naming the file.
    pub fn write(&self, folder: &Path) -> Result<(), ExplainError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| ExplainError::Io { path, source }
        };
        fs::create_dir_all(folder).map_err(failed(folder))?;
        let put = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            fs::write(&path, bytes).map_err(failed(&path))
        };
        for (name, png) in &self.pictures {
            put(name, png)?;
        }
        put(Self::JSON, self.to_json().as_bytes())?;
        put(Self::HTML, html::html_page(self).as_bytes())
    }

    /// Reads what [`Self::write`] wrote, pictures included.
    ///
    /// # Errors
    /// [`ExplainError::Io`] for a missing file or a picture outside the folder, or as [`Self::from_json`].
    pub fn read(folder: &Path) -> Result<Self, ExplainError> {
        let get = |name: &str| {
            let path = folder.join(name);
            fs::read(&path).map_err(|source| ExplainError::Io { path, source })
        };
        let text = String::from_utf8_lossy(&get(Self::JSON)?).into_owned();
        let mut explanation = Self::from_json(&text)?;
        for file in &explanation.files {
            // the JSON may come from anywhere: a picture is a plain name in this folder
            if Path::new(file).file_name().is_none_or(|n| n != file.as_str()) {
                let cause = format!("`{file}` is no plain file name");
                return Err(ExplainError::Format { what: "explanation", cause });
            }
            explanation.pictures.insert(file.clone(), get(file)?);
        }
        Ok(explanation)
    }
}
