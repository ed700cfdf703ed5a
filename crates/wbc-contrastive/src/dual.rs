use crate::{ModelConfig, TrainError};
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use wbc_encoders::{ClipScale, ImageEncoder, ImageTower, TextEncoder, TextTower};

/// Largest logit scale, as in CLIP (Radford et al. 2021, section 2.5).
const MAX_LOGIT_SCALE: f64 = 100.0;
/// Largest scale of contrast sets.
const MAX_CONTRAST_SCALE: f64 = 50.0;

/// Image and text encoder into one space, with the temperatures of their losses.
///
/// A *logit scale* is the exponential of the learned parameter; its inverse is the temperature.
#[derive(Module, Debug)]
pub struct DualEncoder<I: ImageEncoder, T: TextEncoder> {
    /// Image encoder.
    pub image: I,
    /// Text encoder.
    pub text: T,
    log_scale: Param<Tensor<1>>,
    log_contrast_scale: Param<Tensor<1>>,
    logit_bias: Param<Tensor<1>>,
}

/// The built-in pair: cell view tower and text tower.
pub type WbcClip = DualEncoder<ImageTower, TextTower>;

impl<I: ImageEncoder, T: TextEncoder> DualEncoder<I, T> {
    /// Joins two encoders, with temperatures 0.07 for captions and 0.1 for contrast sets.
    ///
    /// # Errors
    /// [`TrainError::Config`] when their embeddings differ in width.
    pub fn new(image: I, text: T, device: &Device) -> Result<Self, TrainError> {
        if image.embed_dim() != text.embed_dim() {
            return Err(TrainError::Config {
                field: "embed_dim",
                cause: format!("the image encoder has {}, the text encoder {}", image.embed_dim(), text.embed_dim()),
            });
        }
        let scalar = |v: f32| Param::from_data(TensorData::new(vec![v], [1]), device);
        Ok(Self {
            image,
            text,
            log_scale: scalar((1.0_f32 / 0.07).ln()),
            log_contrast_scale: scalar((1.0_f32 / 0.1).ln()),
            logit_bias: scalar(0.0),
        })
    }

    /// The same model with the start values of the sigmoid loss: scale 10, bias -10 (Zhai et al. 2023).
    pub fn with_sigmoid_start(self) -> Self {
        let start = |p: Param<Tensor<1>>, v: f32| p.map(|t| t.full_like(v).require_grad());
        Self { log_scale: start(self.log_scale, 10.0_f32.ln()), logit_bias: start(self.logit_bias, -10.0), ..self }
    }

    /// The same model with scale and bias of a published CLIP.
    pub fn with_published_scale(self, scale: ClipScale) -> Self {
        let start = |p: Param<Tensor<1>>, v: f32| p.map(|t| t.full_like(v).require_grad());
        let log_scale = start(self.log_scale, scale.log_scale);
        Self { log_scale, logit_bias: start(self.logit_bias, scale.bias.unwrap_or(0.0)), ..self }
    }

    /// Logit scale of captions, `[1]`.
    pub fn logit_scale(&self) -> Tensor<1> {
        self.log_scale.val().exp().clamp_max(MAX_LOGIT_SCALE)
    }

    /// Logit scale of contrast sets, `[1]`.
    pub fn contrast_scale(&self) -> Tensor<1> {
        self.log_contrast_scale.val().exp().clamp_max(MAX_CONTRAST_SCALE)
    }

    /// Whether a temperature learns from the losses that are used.
    pub(crate) fn temperatures_train(&self, captions: bool, contrast: bool) -> bool {
        (captions && self.log_scale.is_require_grad()) || (contrast && self.log_contrast_scale.is_require_grad())
    }

    /// Bias of the sigmoid loss, `[1]`.
    pub fn logit_bias(&self) -> Tensor<1> {
        self.logit_bias.val()
    }
}

impl WbcClip {
    /// Builds the built-in model with weights drawn from `seed`.
    ///
    /// # Errors
    /// [`TrainError::Encoder`] for impossible configurations.
    pub fn init(config: &ModelConfig, vocab_size: usize, seed: u64, device: &Device) -> Result<Self, TrainError> {
        config.check()?;
        let image = config.image.init(config.embed_dim, seed, device)?;
        let text = config.text.init(vocab_size, config.embed_dim, seed, device)?;
        Self::new(image, text, device)
    }
}
