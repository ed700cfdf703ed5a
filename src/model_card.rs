//! The model card of an export: what the model is, was trained on and reaches, whom it may serve, how it is run.

use crate::export::{CARD, ExportFormat, IMAGE_ONNX, TEXT_ONNX};
use crate::run::{CONFIG, ENCODERS, METRICS, PREPROCESS, PROMPTS, READINGS, REFERENCE, SCHEMA, TOKENIZER, WEIGHTS};
use crate::train::logged_validations;
use crate::{BranchKind, Error, Run, ViewerKind, WeightSource};
use std::fmt::Write;
use std::path::Path;
use wbc_contrastive::Keep;
use wbc_core::DatasetRef;
use wbc_data::{DatasetEntry, Registry};
use wbc_encoders::{ImageEncoder, TextCleaning};

/// How exports are used; run by `scripts/check_onnx.py` and `scripts/check_clip.py`, so that what the card says is true.
const ONNX_USE: &str = include_str!("model_card/onnx_use.py");
const OPEN_CLIP_USE: &str = include_str!("model_card/open_clip_use.py");
const TRANSFORMERS_USE: &str = include_str!("model_card/transformers_use.py");
const ZERO_SHOT: &str = include_str!("model_card/zero_shot.py");

/// The card as Markdown; `files` are the names of all exported files.
pub(crate) fn model_card(run: &Run, format: ExportFormat, files: &[&str]) -> Result<String, Error> {
    let mut card = String::new();
    let branches = match run.config.model.branches {
        BranchKind::Measurements => "named measurements",
        BranchKind::Pixels => "pixels",
        BranchKind::Both => "pixels and named measurements",
    };
    let library = match format {
        ExportFormat::Safetensors | ExportFormat::SafetensorsF16 | ExportFormat::SafetensorsI8 => "wbc-clip",
        ExportFormat::Onnx => "onnx",
        ExportFormat::OpenClip => "open_clip",
        ExportFormat::Transformers => "transformers",
    };
    write!(
        card,
        "---\nlicense: other\nlicense_name: see-training-data\nlanguage: en\nlibrary_name: {library}\n\
         pipeline_tag: zero-shot-image-classification\ntags:\n- haematology\n- white-blood-cells\n- clip\n---\n\n\
         # WBC-CLIP on {data}\n\n\
         A dual encoder for single stained white blood cells: it says how well a description in English fits a cell, and so \
         recognises types and attributes that are described to it. The image encoder sees {branches}; embeddings have \
         {dim} numbers. Made by wbc-clip {version}; weights {fingerprint}.\n\n\
         ## Intended use\n\n\
         Research and teaching. **Not a medical device, not for diagnosis**, not evaluated on patients. It looks at one \
         cell, the central one of an image; it knows the types and attributes below and gives one of them to whatever it \
         sees, a blast or an artefact too. Other stains, cameras and hospitals cost accuracy: measure it on labelled cells \
         of your own before believing anything.\n\n",
        data = source(&run.config.train),
        dim = run.trained.model.image.embed_dim(),
        version = env!("CARGO_PKG_VERSION"),
        fingerprint = run.fingerprint()?,
    )
    .expect("a string takes any text");
    card += &data(run);
    card += &metrics(run)?;
    card += match format {
        ExportFormat::SafetensorsF16 => "The weights are rounded to 16 bits here; the figures are of those before.\n\n",
        ExportFormat::SafetensorsI8 => {
            "The weights are rounded here, kernels of convolutions to 8 bits and all else to 16; the figures are of those \
             before.\n\n"
        }
        _ => "",
    };
    card += "## Files\n\n| file | content |\n|---|---|\n";
    files.iter().for_each(|name| card += &format!("| `{name}` | {} |\n", content(name)));
    card += &usage(run, format);
    card += "## Licence\n\n\
        The program that made these weights is under MIT or Apache-2.0; that says nothing about the weights. They were \
        learned from the data above and may be bound by the licences of these";
    card += match run.encoders == Default::default() {
        true => ".\n",
        false => ", and by those of the published encoders that they began with.\n",
    };
    Ok(card)
}

/// How a source of cells is named: an id as it is, of a file no more than its name, since folders are nobody's business.
fn source(text: &str) -> String {
    Path::new(text).file_name().map_or_else(|| text.to_owned(), |name| name.to_string_lossy().into_owned())
}

fn entry(text: &str) -> Option<DatasetEntry> {
    let id = text.parse::<DatasetRef>().ok()?.id;
    Registry::builtin().get(&id).ok().cloned()
}

fn data(run: &Run) -> String {
    let config = &run.config;
    let mut text =
        format!("## Data\n\nTrained on `{}`, validated on `{}`.", source(&config.train), source(&config.validation));
    text += &match config.view.shifted_copies {
        0 => " Every cell was seen as it is.".to_owned(),
        1 => " Every training cell was seen as it is and in one simulated other hospital.".to_owned(),
        n => format!(" Every training cell was seen as it is and in {n} simulated other hospitals."),
    };
    text += &match config.captions.as_str() {
        crate::config::GRAMMAR => " Captions were made by a grammar from the annotations.\n\n".to_owned(),
        file => format!(" Captions are those of `{}`.\n\n", source(file)),
    };
    for (half, source) in [("image", &run.encoders.image_source), ("text", &run.encoders.text_source)] {
        if let Some(WeightSource { file, blake3 }) = source {
            text += &format!("- The {half} encoder began with the published weights `{file}` (BLAKE3 `{blake3}`)\n");
        }
    }
    match entry(&config.train) {
        Some(entry) => {
            text += &format!("- {}\n- Citation: {}\n", entry.title, entry.citation);
            text += &entry.doi.map_or_else(String::new, |doi| format!("- DOI: {doi}\n"));
            text += &format!("- Licence of the data: {}\n- {}\n", entry.licence, entry.homepage);
        }
        None => text += "- Licence of the data: not known to the program, which saw a table or a folder\n",
    }
    let space = &run.trained.space;
    let types: Vec<&str> = space.types().iter().map(|t| t.as_str()).collect();
    text += &format!("- Types: {}\n", types.join(", "));
    for attribute in &space.schema().attributes {
        let values: Vec<&str> = attribute.values.iter().map(|v| v.name.as_str()).collect();
        text += &format!("- `{}`: {}\n", attribute.name, values.join(", "));
    }
    text + "\n"
}

fn metrics(run: &Run) -> Result<String, Error> {
    let mut text = "## Metrics\n\n".to_owned();
    let log = run.files.text(METRICS)?.unwrap_or_default();
    let validations = logged_validations(&log);
    let kept = match run.config.optimiser.keep {
        // as in training, of equal ones the first
        Keep::Best => validations.iter().rev().max_by(|a, b| a.1.score.total_cmp(&b.1.score)),
        Keep::Last => validations.last(),
    };
    let Some((step, validation)) = kept else {
        return Ok(text + "The folder that was exported held no record of validations.\n\n");
    };
    text += &format!("On `{}` at step {step}", source(&run.config.validation));
    text += match run.config.optimiser.keep {
        Keep::Best => ", which chose the weights that were kept: slightly optimistic.",
        Keep::Last => ", the last validation.",
    };
    text += " Types and attributes are zero-shot, by prompt ensembles; `hit_rate_1` finds, among one caption per \
        combination of attributes, the one of the cell; `shifted.` stands before figures on the same cells in simulated \
        other hospitals.\n\n| figure | value |\n|---|---|\n";
    validation.metrics.iter().for_each(|(name, value)| text += &format!("| `{name}` | {value:.3} |\n"));
    Ok(text + "\n")
}

/// What a file of an export holds.
fn content(name: &str) -> &'static str {
    match name {
        "open_clip_model.safetensors" => "the weights under OpenCLIP's names",
        "open_clip_config.json" => "sizes and preprocessing as OpenCLIP reads them",
        "model.safetensors" => "the weights under Transformers' names",
        "config.json" => "sizes as Transformers reads them",
        "preprocessor_config.json" => "how Transformers prepares images",
        "tokenizer_config.json" => "special tokens and length as Transformers reads them",
        WEIGHTS => "the weights; linear weights are `[inputs, outputs]`",
        IMAGE_ONNX => "the image encoder: normalised inputs to `image_embedding`, of unit length",
        TEXT_ONNX => "the text encoder: `input_ids` and `attention_mask` to `text_embedding`, of unit length",
        TOKENIZER => "the tokenizer, in the form of Hugging Face's `tokenizers`",
        PREPROCESS => "how cells are looked at and measured, and how measurements are normalised",
        PROMPTS => "prompts of every type and attribute value",
        SCHEMA => "the attributes and their values",
        READINGS => "trees that read each attribute in the measurements",
        REFERENCE => "what training cells of each type and value measured",
        ENCODERS => "what the published encoders are that it was made of",
        CONFIG => "the configuration of the training",
        CARD => "this page",
        _ => "",
    }
}

fn usage(run: &Run, format: ExportFormat) -> String {
    let mut text = "\n## How to use\n\n".to_owned();
    match format {
        ExportFormat::Safetensors | ExportFormat::SafetensorsF16 | ExportFormat::SafetensorsI8 => {
            text += "`wbc-clip classify CELLS --run FOLDER` with this folder; `eval`, `embed`, `search` and `explain` open \
                it, too.\n\n";
        }
        ExportFormat::Onnx => {
            text += "Inputs of `image.onnx`:\n\n";
            if run.config.has_pixels() {
                let side = run.config.view.side;
                text += &format!(
                    "- `pixels`: float32 `[batch, 3, {side}, {side}]`, red, green, blue, grey levels divided by 255, of the \
                     view that the `viewer` of `{PREPROCESS}` makes (crate `wbc-clip`, `Run::views`)\n"
                );
            }
            if run.trained.preprocess.statistics.is_some() {
                text += &format!(
                    "- `measurements`, `measurement_mask`: float32, as `normalise` below makes them from what \
                     `wbc-clip measure CELLS --out measurements.csv` writes. Columns are chosen by the names in \
                     `{PREPROCESS}`, undefined values are masked. Lengths in pixels are brought to the optics of the \
                     training (`length_scale` is the pixel size of the image divided by that of the training), and masked \
                     where that is not known. A cell without any measurement is seen by its pixels alone\n"
                );
            }
            text += "\n`logit_scale` and `logit_bias` of captions and `contrast_scale` of prompt ensembles are in the \
                models' metadata.";
            text += cleaned_before(run);
            text += " With Python 3.11 and `pip install numpy onnxruntime tokenizers`:\n\n```python\n";
            text += ONNX_USE;
            text += ZERO_SHOT;
            text += "```\n\n";
        }
        ExportFormat::OpenClip | ExportFormat::Transformers => {
            let (package, code, after) = match format {
                ExportFormat::OpenClip => ("open_clip_torch transformers", OPEN_CLIP_USE, OPEN_CLIP_TEXTS),
                _ => ("torch transformers", TRANSFORMERS_USE, cleaned_before(run)),
            };
            text += &views_in_python(run);
            text += after;
            text += &format!("\nWith Python 3.11 and `pip install {package}`:\n\n```python\n{code}{ZERO_SHOT}```\n\n");
        }
    }
    text
}

/// What open_clip does to texts on its own.
const OPEN_CLIP_TEXTS: &str = " open_clip mends texts (ftfy) and makes runs of white space one space before it reads them; \
    plain descriptions stay as they are.";

/// What a model's texts went through in training, and do not here.
fn cleaned_before(run: &Run) -> &'static str {
    match run.trained.tokenizer.cleaning() {
        TextCleaning::AsIs => "",
        _ => {
            " In training texts were mended before (ftfy, HTML entities), as OpenCLIP does; plain descriptions stay as they \
             are."
        }
    }
}

/// Where the images come from that an exported encoder was trained on.
fn views_in_python(run: &Run) -> String {
    match run.config.view.viewer {
        ViewerKind::Published => "Images are those of the camera, with one cell in the middle.".to_owned(),
        ViewerKind::Plain | ViewerKind::Canonical => format!(
            "Images are views of {side} x {side} px as the model was trained on, not those of the camera: `wbc-clip views \
             RUN CELLS --out DIR` writes them from the run that this was exported from.",
            side = run.config.view.side
        ),
    }
}
