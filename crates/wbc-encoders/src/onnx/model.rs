use super::graph::{MAX_BYTES, OnnxAttribute, OnnxDim, OnnxGraph, OnnxType, OnnxValue, check_size};
use super::proto::{ModelProto, OperatorSetIdProto, StringStringEntryProto};
use crate::{EncoderError, ImageEncoder, TextEncoder, Tokenizer};
use prost::Message;
use std::path::Path;

/// Version of the operator set: the first with layer normalisation, read by onnxruntime since 1.12.
const OPSET: i64 = 17;
/// Version of the file format that belongs to it.
const IR_VERSION: i64 = 8;

const BATCH: OnnxDim = OnnxDim::Named("batch");
const SEQ_LEN: OnnxDim = OnnxDim::Named("seq_len");

/// What an image encoder takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnnxImageShape {
    /// Side of the square view in pixels; `None` where it sees no pixels.
    pub side: Option<usize>,
    /// Number of measurements; `None` where it takes none.
    pub n_measurements: Option<usize>,
}

/// Inputs of an image encoder in a graph; those of its [`OnnxImageShape`] are there.
#[derive(Clone, Debug)]
pub struct OnnxImageInput {
    /// `[batch, 3, side, side]`, red, green, blue in `0..=1`.
    pub pixels: Option<OnnxValue>,
    /// Normalised values and their mask, both `[batch, n_measurements]`.
    pub measurements: Option<(OnnxValue, OnnxValue)>,
}

/// Inputs of a text encoder in a graph, cut to its longest text.
#[derive(Clone, Debug)]
pub struct OnnxTextInput {
    /// Token ids, Int `[batch, seq_len]`.
    pub ids: OnnxValue,
    /// True where there is a token, Bool `[batch, seq_len]`.
    pub real: OnnxValue,
    /// Ids of tokens that stand before the first clause.
    pub leading: Vec<i64>,
    /// Ids of tokens that end a clause.
    pub separators: Vec<i64>,
}

impl OnnxTextInput {
    /// Clauses and positions of [`crate::TextInput`], both Int `[batch, seq_len]`, from the ids alone.
    ///
    /// Positions are counted by comparing all pairs of tokens: ONNX has no running maximum that would tell where the
    /// clause began.
    pub fn clauses_and_positions(&self, graph: &mut OnnxGraph) -> (OnnxValue, OnnxValue) {
        graph.within("clauses", |g| {
            let real = g.cast(&self.real, OnnxType::Int);
            let leading = is_one_of(g, &self.ids, &self.leading);
            let separator = is_one_of(g, &self.ids, &self.separators);
            let separator = g.mul(&separator, &real);
            let (one, none, axis) = (g.int(1), g.int(-1), g.int(1));
            let behind_leading = g.sub(&one, &leading);
            let ended = g.node("CumSum", &[&separator, &axis], &[("exclusive", OnnxAttribute::Int(1))]);
            let clause = g.add(&ended, &one);
            let clauses = g.mul(&clause, &behind_leading);
            let clauses = g.node("Where", &[&self.real, &clauses, &none], &[]);

            let inside = g.sub(&one, &separator);
            let word = g.mul(&inside, &behind_leading);
            let word = g.mul(&word, &real);
            let later = g.later(&self.ids);
            let earlier = g.transpose(&later, &[1, 0]);
            let (row, column) = (g.unsqueeze(&clause, &[2]), g.unsqueeze(&clause, &[1]));
            let same = g.node("Equal", &[&row, &column], &[]);
            let counted = g.node("And", &[&same, &earlier], &[]);
            let counted = g.cast(&counted, OnnxType::Float);
            let word = g.cast(&word, OnnxType::Float);
            let word = g.unsqueeze(&word, &[2]);
            let position = g.matmul(&counted, &word);
            let position = g.cast(&position, OnnxType::Int);
            let position = g.squeeze(&position, &[2]);
            let position = g.mul(&position, &behind_leading);
            (clauses, g.mul(&position, &real))
        })
    }
}

/// 1 where an id is in the list, else 0: Int `[batch, seq_len]`.
fn is_one_of(graph: &mut OnnxGraph, ids: &OnnxValue, list: &[i64]) -> OnnxValue {
    // no id is negative; a list without entries is no tensor that every reader accepts
    let list = graph.ints(if list.is_empty() { &[-1] } else { list });
    let ids = graph.unsqueeze(ids, &[2]);
    let equal = graph.node("Equal", &[&ids, &list], &[]);
    let equal = graph.cast(&equal, OnnxType::Float);
    let found = graph.max(&equal, 2);
    let found = graph.cast(&found, OnnxType::Int);
    graph.squeeze(&found, &[2])
}

/// An image encoder that can be written as ONNX.
pub trait OnnxImageEncoder: ImageEncoder {
    /// What it takes.
    fn onnx_shape(&self) -> OnnxImageShape;

    /// Adds its nodes, which answer with the pooled embedding `[batch, embed_dim]` as [`ImageEncoder::forward`] does in
    /// evaluation.
    ///
    /// # Errors
    /// [`EncoderError::Config`] for a part that cannot be written.
    fn onnx(&self, graph: &mut OnnxGraph, input: &OnnxImageInput) -> Result<OnnxValue, EncoderError>;
}

/// A text encoder that can be written as ONNX.
pub trait OnnxTextEncoder: TextEncoder {
    /// Adds its nodes, which answer with the pooled embedding `[batch, embed_dim]` as [`TextEncoder::forward`] does in
    /// evaluation.
    ///
    /// # Errors
    /// [`EncoderError::Config`] for a part that cannot be written.
    fn onnx(&self, graph: &mut OnnxGraph, input: &OnnxTextInput) -> Result<OnnxValue, EncoderError>;
}

/// An encoder as an ONNX model.
///
/// ```
/// use wbc_encoders::{ImageTowerConfig, OnnxModel};
///
/// let tower = ImageTowerConfig::measurements_only(132).init(64, 7, &burn::tensor::Device::flex())?;
/// let model = OnnxModel::image(&tower)?.with_metadata("logit_scale", 14.3);
/// assert!(!model.to_bytes().is_empty());
/// # Ok::<(), wbc_encoders::EncoderError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct OnnxModel {
    proto: ModelProto,
}

impl OnnxModel {
    /// An image encoder: inputs `pixels` (float `[batch, 3, side, side]`, in `0..=1`), `measurements` (float
    /// `[batch, n_measurements]`, normalised) and `measurement_mask` (the same shape, 1 where a value is known), as far as
    /// it takes them; outputs `image_embedding` `[batch, embed_dim]` of unit length and `pooled`, the same before it is
    /// brought to that length.
    ///
    /// # Errors
    /// [`EncoderError::OnnxTooLarge`].
    pub fn image<E: OnnxImageEncoder>(encoder: &E) -> Result<Self, EncoderError> {
        let mut graph = OnnxGraph::new("image_encoder");
        let OnnxImageShape { side, n_measurements } = encoder.onnx_shape();
        let pixels = side.map(|side| {
            let dims = [BATCH, OnnxDim::Fixed(3), OnnxDim::Fixed(side), OnnxDim::Fixed(side)];
            graph.input("pixels", OnnxType::Float, &dims, "cell view, red, green, blue in 0..1")
        });
        let measurements = n_measurements.map(|n| {
            let mut input = |name, doc| graph.input(name, OnnxType::Float, &[BATCH, OnnxDim::Fixed(n)], doc);
            let values = input("measurements", "normalised measurements, zero mean and unit variance in training");
            (values, input("measurement_mask", "1 where a measurement is known, 0 where it is to be ignored"))
        });
        let pooled = encoder.onnx(&mut graph, &OnnxImageInput { pixels, measurements })?;
        answer(&mut graph, "image_embedding", &pooled, encoder.embed_dim());
        Self::finished(graph)
    }

    /// A text encoder with the special tokens of its tokenizer: inputs `input_ids` (int64 `[batch, seq_len]`, cut to the
    /// longest text that it reads) and `attention_mask` (the same shape, 1 where there is a token); outputs
    /// `text_embedding` `[batch, embed_dim]` of unit length and `pooled`, the same before it is brought to that length.
    ///
    /// # Errors
    /// [`EncoderError::OnnxTooLarge`].
    pub fn text<E: OnnxTextEncoder>(encoder: &E, tokenizer: &Tokenizer) -> Result<Self, EncoderError> {
        let listed = |ids: &[u32]| ids.iter().map(|id| i64::from(*id)).collect();
        let (leading, separators) = (listed(tokenizer.leading()), listed(tokenizer.separators()));
        let mut graph = OnnxGraph::new("text_encoder");
        let mut input = |name, doc| graph.input(name, OnnxType::Int, &[BATCH, SEQ_LEN], doc);
        let ids = input("input_ids", "token ids");
        let mask = input("attention_mask", "1 where there is a token, 0 where there is none");
        let max_len = encoder.max_len() as i64;
        let ids = graph.slice(&ids, 1, 0, max_len);
        let mask = graph.slice(&mask, 1, 0, max_len);
        let real = graph.cast(&mask, OnnxType::Bool);
        let pooled = encoder.onnx(&mut graph, &OnnxTextInput { ids, real, leading, separators })?;
        answer(&mut graph, "text_embedding", &pooled, encoder.embed_dim());
        let model = Self::finished(graph)?;
        Ok(model.with_metadata("pad_token_id", tokenizer.pad_id()).with_metadata("max_len", max_len))
    }

    fn finished(graph: OnnxGraph) -> Result<Self, EncoderError> {
        let proto = ModelProto {
            ir_version: Some(IR_VERSION),
            producer_name: Some("wbc-clip".into()),
            producer_version: Some(env!("CARGO_PKG_VERSION").into()),
            opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(OPSET) }],
            graph: Some(graph.finish()?),
            ..ModelProto::default()
        };
        check_size(proto.encoded_len() as u64, MAX_BYTES)?;
        Ok(Self { proto })
    }

    /// Adds a line to the model's metadata, replacing one of the same name.
    #[must_use]
    pub fn with_metadata(mut self, name: &str, value: impl ToString) -> Self {
        let entries = &mut self.proto.metadata_props;
        entries.retain(|e| e.key() != name);
        entries.push(StringStringEntryProto { key: Some(name.into()), value: Some(value.to_string()) });
        entries.sort_by(|a, b| a.key().cmp(b.key()));
        self
    }

    /// The content of the file; the same model gives the same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.proto.encode_to_vec()
    }

    /// Writes the file, whole or not at all, replacing an existing one.
    ///
    /// # Errors
    /// [`EncoderError::OnnxTooLarge`], [`EncoderError::Io`].
    pub fn save(&self, path: &Path) -> Result<(), EncoderError> {
        check_size(self.proto.encoded_len() as u64, MAX_BYTES)?;
        let failed = |source| EncoderError::Io { path: path.to_owned(), source };
        wbc_core::write_atomic(path, self.to_bytes()).map_err(failed)
    }
}

/// Makes a pooled embedding the model's answer, as it is and at unit length.
fn answer(graph: &mut OnnxGraph, name: &str, pooled: &OnnxValue, embed_dim: usize) {
    let dims = [BATCH, OnnxDim::Fixed(embed_dim)];
    let unit = graph.l2_normalised(pooled);
    graph.output(name, &unit, OnnxType::Float, &dims, "embedding of unit length");
    graph.output("pooled", pooled, OnnxType::Float, &dims, "the same before it is brought to unit length");
}
