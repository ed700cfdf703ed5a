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
    /// [`TrainError::Config`] when their embeddings differ in width or in the number of members, or where that is 0 or does not
    /// divide the width.
    pub fn new(image: I, text: T, device: &Device) -> Result<Self, TrainError> {
        if image.embed_dim() != text.embed_dim() {
            return Err(TrainError::Config {
                field: "embed_dim",
                cause: format!("the image encoder has {}, the text encoder {}", image.embed_dim(), text.embed_dim()),
            });
        }
        let (members, width) = (image.members(), image.embed_dim());
        if members != text.members() || members == 0 || !width.is_multiple_of(members) {
            let cause =
                format!("the image encoder has {members} for {width} numbers, the text encoder {}", text.members());
            return Err(TrainError::Config { field: "members", cause });
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

    /// The same model with the scale of a published CLIP, and with its bias if it has one.
    pub fn with_published_scale(self, scale: ClipScale) -> Self {
        let start = |p: Param<Tensor<1>>, v: f32| p.map(|t| t.full_like(v).require_grad());
        let logit_bias = match scale.bias {
            Some(bias) => start(self.logit_bias, bias),
            None => self.logit_bias,
        };
        Self { log_scale: start(self.log_scale, scale.log_scale), logit_bias, ..self }
    }

    /// Logit scale of captions, `[1]`.
    pub fn logit_scale(&self) -> Tensor<1> {
        bounded(self.log_scale.val().exp(), MAX_LOGIT_SCALE)
    }

    /// Logit scale of contrast sets, `[1]`.
    pub fn contrast_scale(&self) -> Tensor<1> {
        bounded(self.log_contrast_scale.val().exp(), MAX_CONTRAST_SCALE)
    }

    /// The same model with its scales within their bounds, where a step of the optimiser has taken them beyond. As in
    /// CLIP, the parameters are bounded themselves, so that they can fall again at once.
    pub(crate) fn with_bounded_scales(self) -> Self {
        let bound = |p: Param<Tensor<1>>, max: f64| {
            p.map(|t| {
                let trains = t.is_require_grad();
                t.clamp_max(max.ln()).detach().set_require_grad(trains)
            })
        };
        let log_scale = bound(self.log_scale, MAX_LOGIT_SCALE);
        Self { log_scale, log_contrast_scale: bound(self.log_contrast_scale, MAX_CONTRAST_SCALE), ..self }
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

/// A scale within its bound, with the gradient of the unbounded one: the bound of a published model, the logarithm of 100
/// rounded up, must not hold it there for ever.
fn bounded(scale: Tensor<1>, max: f64) -> Tensor<1> {
    let beyond = scale.clone().detach() - scale.clone().detach().clamp_max(max);
    scale - beyond
}

impl WbcClip {
    /// Builds the built-in model with weights drawn from `seed`.
    ///
    /// # Errors
    /// [`TrainError::Encoder`] for impossible configurations.
    pub fn init(config: &ModelConfig, vocab_size: usize, seed: u64, device: &Device) -> Result<Self, TrainError> {
        config.check()?;
        let image = config.image.init_committee(config.embed_dim, config.members, seed, device)?;
        let text = config.text.init(vocab_size, config.embed_dim, seed, device)?.for_members(config.members)?;
        Self::new(image, text, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::optim::GradientsParams;
    use wbc_encoders::{ImageTowerConfig, TextConfig};

    /// CLIPs are published with a scale of 100, the logarithm rounded up.
    #[test]
    fn a_scale_beyond_its_bound_counts_as_the_bound_and_falls_again() {
        let device = Device::flex().autodiff();
        let image = ImageTowerConfig::measurements_only(3).init(8, 1, &device).unwrap();
        let text = TextConfig { depth: 1, ..TextConfig::default() }.init(80, 8, 1, &device).unwrap();
        let scale = ClipScale { log_scale: 4.7, bias: None };
        let model = DualEncoder::new(image, text, &device).unwrap().with_sigmoid_start().with_published_scale(scale);
        assert_eq!(model.logit_bias().into_scalar::<f32>(), -10.0, "none was published");
        assert!((model.logit_scale().into_scalar::<f32>() - 100.0).abs() < 1e-3);
        let gradients = GradientsParams::from_grads(model.logit_scale().sum().backward(), &model);
        let of_scale: Tensor<1> = gradients.get(model.log_scale.id).expect("it has a gradient");
        assert!(of_scale.into_scalar::<f32>() > 1.0);
        let bounded = model.with_bounded_scales();
        assert!((bounded.log_scale.val().into_scalar::<f32>() - 100.0_f32.ln()).abs() < 1e-6);
        assert!(bounded.log_scale.is_require_grad());
    }
}
