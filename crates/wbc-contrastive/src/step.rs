use crate::batch::{NormalisedMeasurements, features};
use crate::grad_cache::{self, Part};
use crate::parameters::trains;
use crate::precision::{check_device, in_bf16};
use crate::{
    ContrastiveLoss, DualEncoder, InfoNce, LossKind, MeasuredFact, OptimiserConfig, PairTargets, Precision,
    SigmoidLoss, TrainError, TrainingData, contrast_set_loss,
};
use burn::optim::GradientsParams;
use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use rand::Rng;
use rand::seq::IndexedRandom;
use std::ops::Range;
use wbc_core::{Fact, seeded_rng};
use wbc_data::PixelBatch;
use wbc_encoders::{
    ImageEncoder, ImageInput, MeasurementInput, Mode, RowStreams, TextEncoder, TextInput, l2_normalised,
};

/// Random streams of a run; each purpose has its own.
const STREAM_CAPTION: u64 = 11;
const STREAM_STEP: u64 = 12;
/// What is encoded in a step: its rows draw from `[seed, STREAM_STEP, step, part, row]`.
const PART_IMAGES: u64 = 1;
const PART_CAPTIONS: u64 = 2;
const PART_PROMPTS: u64 = 3;
/// Captions of a batch are padded in this many groups of like length: padding costs as much as words.
const LENGTH_GROUPS: usize = 4;
/// The type counts twice among the contrast sets.
const TYPE_WEIGHT: f64 = 2.0;

/// Losses of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepLosses {
    /// What is minimised: the weighted sum of the others.
    pub total: f64,
    /// Loss on whole captions; 0 where its weight is 0.
    pub captions: f64,
    /// Loss of contrast sets; 0 where its weight is 0.
    pub contrast: f64,
}

/// What stays the same over all steps.
pub(crate) struct StepContext<'a> {
    config: &'a OptimiserConfig,
    seed: u64,
    /// Without gradient tracking.
    device: &'a Device,
    data: &'a TrainingData,
    measurements: Option<NormalisedMeasurements>,
    /// Per row of the views, the factor of its lengths; `None` where absolute sizes mean nothing.
    scales: Vec<Option<f64>>,
    codes: Vec<Vec<i16>>,
    prompts: Vec<Vec<&'a [String]>>,
    written_prompts: Option<Vec<Vec<&'a [String]>>>,
    sizes: Vec<usize>,
    weights: Vec<f64>,
    loss: &'static dyn ContrastiveLoss,
}

/// The cells of a step.
struct Images<'s> {
    n: usize,
    /// Side of the views, `[batch, 3, side, side]`.
    side: usize,
    pixels: Option<&'s [f32]>,
    features: Option<Tensor<2>>,
    measurements: Option<MeasurementInput>,
    noise: [u64; 4],
    precision: Precision,
    device: &'s Device,
}

/// Texts of a step, in groups of like length.
struct Texts {
    groups: Vec<TextInput>,
    noise: [u64; 4],
    precision: Precision,
}

impl<I: ImageEncoder, T: TextEncoder> Part<DualEncoder<I, T>> for Images<'_> {
    fn chunks(&self, micro_batch: usize) -> Vec<Range<usize>> {
        grad_cache::chunks(0..self.n, micro_batch)
    }

    fn trains(&self, model: &DualEncoder<I, T>) -> bool {
        trains(&model.image)
    }

    fn encode(&self, model: &DualEncoder<I, T>, rows: Range<usize>) -> Tensor<2> {
        let (start, n) = (rows.start, rows.len());
        let area = 3 * self.side * self.side;
        let dtype = match self.precision {
            Precision::F32 => FloatDType::F32,
            Precision::Bf16 => FloatDType::BF16,
        };
        let input = ImageInput {
            pixels: self.pixels.map(|all| {
                let own = all[start * area..(start + n) * area].to_vec();
                Tensor::<4>::from_data(TensorData::new(own, [n, 3, self.side, self.side]), self.device).cast(dtype)
            }),
            features: self.features.as_ref().map(|f| f.clone().narrow(0, start, n).cast(dtype)),
            measurements: self.measurements.as_ref().map(|m| MeasurementInput {
                values: m.values.clone().narrow(0, start, n).cast(dtype),
                mask: m.mask.clone().narrow(0, start, n).cast(dtype),
                readings: m.readings.as_ref().map(|r| r.clone().narrow(0, start, n).cast(dtype)),
            }),
        };
        let mut noise = RowStreams::new(&self.noise, rows);
        let mode = &mut Mode::Train(&mut noise);
        l2_normalised(match self.precision {
            Precision::F32 => model.image.forward(input, mode).pooled,
            Precision::Bf16 => in_bf16(&model.image).forward(input, mode).pooled.cast(FloatDType::F32),
        })
    }
}

impl<I: ImageEncoder, T: TextEncoder> Part<DualEncoder<I, T>> for Texts {
    fn chunks(&self, micro_batch: usize) -> Vec<Range<usize>> {
        let mut start = 0;
        let mut all = Vec::new();
        for group in &self.groups {
            all.extend(grad_cache::chunks(start..start + group.len(), micro_batch));
            start += group.len();
        }
        all
    }

    fn trains(&self, model: &DualEncoder<I, T>) -> bool {
        trains(&model.text)
    }

    fn encode(&self, model: &DualEncoder<I, T>, rows: Range<usize>) -> Tensor<2> {
        let mut start = 0;
        let group = self.groups.iter().find(|group| {
            start += group.len();
            rows.start < start
        });
        let group = group.expect("chunks are made of these groups");
        let first = start - group.len();
        let input = group.rows(rows.start - first..rows.end - first);
        let mut noise = RowStreams::new(&self.noise, rows);
        let mode = &mut Mode::Train(&mut noise);
        l2_normalised(match self.precision {
            Precision::F32 => model.text.forward(input, mode).pooled,
            Precision::Bf16 => in_bf16(&model.text).forward(input, mode).pooled.cast(FloatDType::F32),
        })
    }
}

impl<'a> StepContext<'a> {
    pub(crate) fn new(
        config: &'a OptimiserConfig,
        seed: u64,
        device: &'a Device,
        data: &'a TrainingData,
    ) -> Result<Self, TrainError> {
        check_device(config.precision, device)?;
        // what is measured in pixels on a shifted copy means nothing: the simulation changed the frame
        let scales: Vec<Option<f64>> = (data.views.samples.iter().zip(&data.views.copies))
            .map(|(sample, copy)| if *copy == 0 { data.length_scale[*sample] } else { None })
            .collect();
        let mut measurements =
            data.statistics.as_ref().map(|s| NormalisedMeasurements::new(&data.views, s, &scales)).transpose()?;
        if let Some(measurements) = &mut measurements {
            measurements.copy_absolute_sizes(&data.views);
            data.readings.iter().try_for_each(|held_out| measurements.take_held_out(held_out))?;
        }
        if data.readings.is_some() && data.statistics.is_none() {
            let cause = "readings are of measurements, of which there are none".into();
            return Err(TrainError::Data { cause });
        }
        let sizes = data.space.sizes();
        if data.soft_targets.as_ref().is_some_and(|soft| !soft.fits(&sizes)) {
            return Err(TrainError::Data { cause: "soft targets have other facts or values than the cells".into() });
        }
        let weights = (0..data.space.len()).map(|fact| if fact == 0 { TYPE_WEIGHT } else { 1.0 }).collect();
        Ok(Self {
            config,
            seed,
            device,
            data,
            measurements,
            scales,
            codes: data.annotations.iter().map(|a| data.space.encode(a)).collect(),
            prompts: data.space.prompts(&data.prompts)?,
            written_prompts: data.written_prompts.as_ref().map(|sets| data.space.prompts(sets)).transpose()?,
            sizes,
            weights,
            loss: match config.loss {
                LossKind::InfoNce => &InfoNce,
                LossKind::Sigmoid => &SigmoidLoss,
            },
        })
    }

    /// Losses and gradients of one step.
    pub(crate) fn gradients<I: ImageEncoder, T: TextEncoder>(
        &self,
        model: &DualEncoder<I, T>,
        step: usize,
        batch: &PixelBatch,
    ) -> Result<(StepLosses, GradientsParams), TrainError> {
        let config = self.config;
        let mut rng = seeded_rng(&[self.seed, STREAM_STEP, step as u64]);
        let noise = |part| [self.seed, STREAM_STEP, step as u64, part];
        let rows = &batch.rows;
        let samples: Vec<usize> = rows.iter().map(|r| self.data.views.samples[*r]).collect();
        let images = Images {
            n: rows.len(),
            side: self.data.views.side,
            pixels: batch.pixels.as_deref(),
            features: features(&self.data.views, rows, self.device),
            measurements: self.measurements.as_ref().map(|m| m.noisy_batch(rows, config, &mut rng, self.device)),
            noise: noise(PART_IMAGES),
            precision: config.precision,
            device: self.device,
        };
        let captions = (config.caption_weight > 0.0)
            .then(|| {
                let (ids, targets) = self.captions(rows, &samples, step, model.text.max_len())?;
                let groups = ids.chunks(ids.len().div_ceil(LENGTH_GROUPS));
                let groups = groups.map(|ids| self.data.tokenizer.pad(ids, self.device)).collect();
                Ok::<_, TrainError>((
                    Texts { groups, noise: noise(PART_CAPTIONS), precision: config.precision },
                    targets,
                ))
            })
            .transpose()?;
        let prompts = (config.contrast_weight > 0.0)
            .then(|| {
                let texts = contrast_texts(&self.prompts, self.written_prompts.as_deref(), &mut rng);
                let ids = self.data.tokenizer.ids(&texts, model.text.max_len())?;
                let groups = vec![self.data.tokenizer.pad(&ids, self.device)];
                Ok::<_, TrainError>(Texts { groups, noise: noise(PART_PROMPTS), precision: config.precision })
            })
            .transpose()?;
        let codes: Vec<Vec<i16>> = samples.iter().map(|s| self.codes[*s].clone()).collect();

        let mut parts: Vec<&dyn Part<DualEncoder<I, T>>> = vec![&images];
        parts.extend(captions.as_ref().map(|(texts, _)| texts as &dyn Part<_>));
        parts.extend(prompts.as_ref().map(|texts| texts as &dyn Part<_>));
        if !parts.iter().any(|part| part.trains(model))
            && !model.temperatures_train(captions.is_some(), prompts.is_some())
        {
            let cause = "nothing is left that could learn from the losses".into();
            return Err(TrainError::Config { field: "freeze", cause });
        }
        let targets = captions.as_ref().map(|(_, targets)| targets);
        grad_cache::gradients(model, &parts, config.micro_batch, |embeddings| {
            self.losses(model, embeddings, targets, prompts.is_some().then_some(&codes))
        })
    }

    /// The loss of a whole batch, `[1]`, from the unit embeddings of its cells, its captions (where there are
    /// `targets`) and the texts of contrast sets (where there are `codes`).
    fn losses<I: ImageEncoder, T: TextEncoder>(
        &self,
        model: &DualEncoder<I, T>,
        embeddings: Vec<Tensor<2>>,
        targets: Option<&PairTargets>,
        codes: Option<&Vec<Vec<i16>>>,
    ) -> Result<(Tensor<1>, StepLosses), TrainError> {
        let mut embeddings = embeddings.into_iter();
        let nothing = || TrainError::Data { cause: "no cell of a batch has a target".into() };
        let image = embeddings.next().ok_or_else(nothing)?;
        let mut losses = StepLosses { total: 0.0, captions: 0.0, contrast: 0.0 };
        let mut sum: Option<Tensor<1>> = None;
        let mut add = |part: Tensor<1>, weight: f64| {
            let value = f64::from(part.clone().into_scalar::<f32>());
            let part = part * weight;
            sum = Some(match sum.take() {
                Some(sum) => sum + part,
                None => part,
            });
            value
        };
        let members = model.image.members();
        if let (Some(targets), Some(text)) = (targets, targets.and_then(|_| embeddings.next())) {
            let part = mean_over_members(&image, &text, members, |cosine| {
                self.loss.loss(cosine, model.logit_scale(), model.logit_bias(), targets)
            });
            losses.captions = add(part, self.config.caption_weight);
        }
        if let (Some(codes), Some(text)) = (codes, embeddings.next()) {
            let soft = self.data.soft_targets.as_ref();
            let part = mean_over_members(&image, &text, members, |cosine| {
                contrast_set_loss(cosine, model.contrast_scale(), &self.sizes, codes, &self.weights, soft)
            });
            losses.contrast = add(part, self.config.contrast_weight);
        }
        losses.total = self.config.caption_weight * losses.captions + self.config.contrast_weight * losses.contrast;
        Ok((sum.ok_or_else(nothing)?, losses))
    }

    /// One caption per cell of the batch as token ids, and which cells each of them fits; the shortest first, so that
    /// captions of like length can be padded together.
    fn captions(
        &self,
        rows: &[usize],
        samples: &[usize],
        step: usize,
        max_len: usize,
    ) -> Result<(Vec<Vec<u32>>, PairTargets), TrainError> {
        let mut rng = seeded_rng(&[self.seed, STREAM_CAPTION, step as u64]);
        let mut captions = Vec::with_capacity(samples.len());
        for sample in samples {
            let caption = self.data.captions.caption(*sample, rng.random())?;
            let asserted = (self.data.space.encode_facts(&caption.facts)?, self.measured_facts(&caption.facts));
            captions.extend(
                self.data.tokenizer.ids(&[&caption.text], max_len)?.into_iter().map(|ids| (ids, asserted.clone())),
            );
        }
        captions.sort_by_key(|(ids, _)| ids.len());
        let (ids, asserted): (Vec<_>, Vec<_>) = captions.into_iter().unzip();
        let codes: Vec<&[i16]> = samples.iter().map(|s| self.codes[*s].as_slice()).collect();
        let raw = self.data.views.measurements.as_ref();
        let targets = PairTargets::from_facts(&codes, &asserted, |image, claim| {
            let scale = match claim.pixel_power {
                0 => 1.0,
                power => self.scales[rows[image]]?.powi(power),
            };
            let value = scale * f64::from(*raw?.get((rows[image], claim.column))?);
            value.is_finite().then(|| (value - claim.value).abs() <= claim.tolerance)
        });
        Ok((ids, targets))
    }

    fn measured_facts(&self, facts: &[Fact]) -> Vec<MeasuredFact> {
        let schema = self.data.statistics.as_ref().map(|s| &s.schema);
        facts
            .iter()
            .filter_map(|f| match f {
                Fact::Measurement { name, value, tolerance } => {
                    let column = schema?.index(name)?;
                    let pixel_power = schema?.measurements[column].unit.pixel_power();
                    Some(MeasuredFact { column, pixel_power, value: *value, tolerance: *tolerance })
                }
                _ => None,
            })
            .collect()
    }
}

/// The mean of what the members of a committee lose, each by its own cosines `[n_images, n_texts]`: one that is right does not
/// excuse another. `image` and `text` are the embeddings of the committee, of unit length.
fn mean_over_members(
    image: &Tensor<2>,
    text: &Tensor<2>,
    members: usize,
    loss: impl Fn(Tensor<2>) -> Tensor<1>,
) -> Tensor<1> {
    if members == 1 {
        return loss(image.clone().matmul(text.clone().transpose()));
    }
    let width = image.dims()[1] / members;
    // a silent member has left its share of the length to the others
    let own = |all: &Tensor<2>, k: usize| l2_normalised(all.clone().narrow(1, k * width, width));
    let each = (0..members).map(|k| loss(own(image, k).matmul(own(text, k).transpose())));
    each.reduce(|a, b| a + b).expect("a model has members") / members as f64
}

/// Texts per value, fact by fact.
type TextsByValue<'a> = [Vec<&'a [String]>];

/// One text per value of every fact: one of its prompts, or as often one of those that were written for it.
fn contrast_texts<'a>(
    prompts: &TextsByValue<'a>,
    written: Option<&TextsByValue<'a>>,
    rng: &mut impl Rng,
) -> Vec<&'a str> {
    let mut written = written.into_iter().flatten().flatten();
    let chosen = prompts.iter().flatten().map(|own| {
        let texts = written.next().filter(|_| rng.random()).unwrap_or(own);
        texts.choose(rng).map(String::as_str).expect("a fact space has texts for every value")
    });
    chosen.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_committee_loses_what_its_members_lose_on_average() {
        let device = Device::flex();
        let unit = |angles: [f32; 2]| Tensor::<2>::from_floats(angles.map(|angle| [angle.cos(), angle.sin()]), &device);
        let (images, texts) = ([unit([0.1, 1.9]), unit([0.4, -0.3])], [unit([0.2, 1.4]), unit([2.0, -1.1])]);
        let targets = PairTargets::from_rows(2, 2, vec![1.0, 0.0, 0.0, 1.0], vec![1.0; 4]);
        let scalar = |v: f32| Tensor::<1>::from_floats([v], &device);
        let loss = |cosine| InfoNce.loss(cosine, scalar(5.0), scalar(0.0), &targets);
        let alone = |k: usize| loss(images[k].clone().matmul(texts[k].clone().transpose())).into_scalar::<f32>();
        let joint = |all: &[Tensor<2>; 2]| l2_normalised(Tensor::cat(all.to_vec(), 1));
        let both = mean_over_members(&joint(&images), &joint(&texts), 2, loss).into_scalar::<f32>();
        assert!((both - (alone(0) + alone(1)) / 2.0).abs() < 1e-6, "{both}");
        assert!((alone(0) - alone(1)).abs() > 0.1, "one cannot stand for the other");
    }

    #[test]
    fn half_of_the_texts_of_a_value_are_those_that_were_written_for_it() {
        let lists = |who: &str, n: usize| -> Vec<Vec<String>> {
            (0..3).map(|value| (0..n).map(|i| format!("{value} {who} {i}")).collect()).collect()
        };
        let (own, theirs) = (lists("own", 4), lists("theirs", 1));
        fn facts(lists: &[Vec<String>]) -> Vec<Vec<&[String]>> {
            // one fact of two values, one of one
            vec![lists[..2].iter().map(Vec::as_slice).collect(), vec![lists[2].as_slice()]]
        }
        let (own, theirs) = (facts(&own), facts(&theirs));
        let rng = &mut seeded_rng(&[9]);
        let mut written = [0; 3];
        for _ in 0..2000 {
            for (value, text) in contrast_texts(&own, Some(&theirs), rng).into_iter().enumerate() {
                assert!(text.starts_with(&value.to_string()), "{text} for {value}");
                written[value] += usize::from(text.contains("theirs"));
            }
        }
        assert!(written.iter().all(|n| (900..1100).contains(n)), "{written:?}");
        assert!(contrast_texts(&own, None, rng).iter().all(|text| text.contains("own")));
    }
}
