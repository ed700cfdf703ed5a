use super::published::Head;
use super::tower::PIXELS;
use super::{ImageInput, MeasurementBranch, MeasurementInput, PixelBranch, PixelEncoderConfig, PublishedBranch};
use crate::layers::l2_normalised;
use crate::mode::plain;
use crate::{EncoderError, ImageTowerConfig, Mode, OnnxGraph, OnnxValue};
use burn::module::Module;
use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use rand::RngCore;
use wbc_core::seeded_rng;

/// What one more member of a committee has of its own: all that learns behind a published encoder, which it shares with the
/// first.
#[derive(Module, Debug)]
pub(super) struct Member {
    pixels: Option<MemberPixels>,
    measurements: Option<MeasurementBranch>,
    readings: Option<MeasurementBranch>,
}

#[derive(Module, Debug)]
enum MemberPixels {
    Patches(PixelBranch),
    Published(MemberHead),
}

/// A head under the name that it has in a [`PublishedBranch`].
#[derive(Module, Debug)]
struct MemberHead {
    head: Head,
}

impl ImageTowerConfig {
    /// One more member for a committee: the tower of `seed` without its published encoder.
    pub(super) fn init_member(&self, embed_dim: usize, seed: u64, device: &Device) -> Result<Member, EncoderError> {
        let pixels = |config: &PixelEncoderConfig| -> Result<MemberPixels, EncoderError> {
            let rng = &mut seeded_rng(&[seed, PIXELS]);
            Ok(match config {
                PixelEncoderConfig::Patches(c) => MemberPixels::Patches(c.init(embed_dim, rng, device)?),
                PixelEncoderConfig::Published(c) => {
                    rng.next_u64(); // what the encoder of that tower is drawn from
                    MemberPixels::Published(MemberHead { head: c.init_head(embed_dim, rng, device)? })
                }
            })
        };
        let pixels = self.pixels.as_ref().map(pixels).transpose()?;
        let (measurements, readings) = self.init_measured(embed_dim, seed, device)?;
        Ok(Member { pixels, measurements, readings })
    }
}

impl Member {
    /// What it says of a cell, `[batch, embed_dim]`, as a tower does; of pixels behind a published encoder by their features
    /// alone.
    ///
    /// # Panics
    /// If the input holds nothing for any branch of the tower.
    pub(super) fn forward(
        &self,
        published: Option<&PublishedBranch>,
        input: ImageInput,
        branch_dropout: f64,
        mode: &mut Mode<'_>,
    ) -> Tensor<2> {
        let pixels = match &self.pixels {
            Some(MemberPixels::Published(own)) => {
                published.zip(input.features).map(|(branch, features)| branch.said_by(&own.head, features, mode))
            }
            Some(MemberPixels::Patches(branch)) => input.pixels.map(|pixels| branch.forward(pixels, mode)),
            None => None,
        };
        let measured = Measured { measurements: &self.measurements, readings: &self.readings, branch_dropout };
        measured.added_to(pixels, input.measurements, mode)
    }

    /// What it says of pixels as ONNX nodes, or of what a published encoder made of them.
    pub(super) fn onnx_pixels(&self, graph: &mut OnnxGraph, seen: &OnnxValue) -> Option<OnnxValue> {
        Some(match self.pixels.as_ref()? {
            MemberPixels::Published(own) => own.head.onnx(graph, seen.clone()),
            MemberPixels::Patches(own) => own.onnx(graph, seen),
        })
    }

    pub(super) fn measurements(&self) -> Option<&MeasurementBranch> {
        self.measurements.as_ref()
    }
}

/// The branches of a member that hear measurements.
pub(super) struct Measured<'m> {
    pub(super) measurements: &'m Option<MeasurementBranch>,
    pub(super) readings: &'m Option<MeasurementBranch>,
    pub(super) branch_dropout: f64,
}

impl Measured<'_> {
    /// What is said of pixels and of measurements together, of whichever there is.
    ///
    /// # Panics
    /// If there is neither.
    pub(super) fn added_to(
        &self,
        pixels: Option<Tensor<2>>,
        input: Option<MeasurementInput>,
        mode: &mut Mode<'_>,
    ) -> Tensor<2> {
        // a cell without any measurement has nothing to say: its branch is silent instead of average
        let measurements = self.measurements.as_ref().zip(input).map(|(branch, input)| {
            let known = input.mask.clone().max_dim(1);
            (self.said(branch, input, mode), known)
        });
        match (pixels, measurements) {
            (Some(p), Some((m, known))) => fused(l2_normalised(p), l2_normalised(m) * known, self.branch_dropout, mode),
            (Some(p), None) => p,
            (None, Some((m, _))) => m,
            (None, None) => panic!("the input holds nothing for any branch of the tower"),
        }
    }

    /// What is said of measurements: by their branch, and by the branch of what is read in them, each on the unit sphere
    /// and added as [`fused`] does.
    fn said(&self, branch: &MeasurementBranch, mut input: MeasurementInput, mode: &mut Mode<'_>) -> Tensor<2> {
        let readings = self.readings.as_ref().zip(input.readings.take());
        let measured = branch.forward(input, mode);
        match readings {
            Some((branch, readings)) => {
                let read = branch.forward(MeasurementInput::complete(readings), mode);
                fused(l2_normalised(measured), l2_normalised(read), self.branch_dropout, mode)
            }
            None => measured,
        }
    }
}

/// The sum of what two branches say. In training either is left out for a share `rate` of the cells, so that each works
/// alone.
fn fused(a: Tensor<2>, b: Tensor<2>, rate: f64, mode: &mut Mode<'_>) -> Tensor<2> {
    let Some(u) = mode.uniform(a.dims()[0]) else { return a + b };
    let rate = rate as f32;
    let keep = |kept: &dyn Fn(f32) -> bool| {
        let rows: Vec<f32> = u.iter().map(|u| f32::from(u8::from(kept(*u)))).collect();
        let n = rows.len();
        Tensor::<2>::from_data(TensorData::new(rows, [n, 1]), &plain(&a.device()))
    };
    let dtype: FloatDType = a.dtype().into();
    let (keep_b, keep_a) = (keep(&|u| u >= rate).cast(dtype), keep(&|u| u < 1.0 - rate).cast(dtype));
    a * keep_a + b * keep_b
}
