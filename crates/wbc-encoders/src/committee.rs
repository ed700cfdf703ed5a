//! Several towers that judge an image together: a deep ensemble (Lakshminarayanan et al. 2017) as one encoder.
//!
//! The embedding of a committee of `K` is `[e_1, ..., e_K] / sqrt(K)` with unit vectors `e_k`; that of a text, which one
//! encoder reads for all members, `[t, ..., t] / sqrt(K)`. The cosine of the two is the mean of the members' cosines, so
//! whatever compares embeddings asks all of them: the softmax of scaled cosines is the geometric mean of the members'
//! probabilities, normalised.

use crate::layers::l2_normalised;
use crate::limits::refused;
use crate::{EncoderError, OnnxGraph, OnnxValue};
use burn::tensor::Tensor;
use rand::RngCore;
use wbc_core::seeded_rng;

/// Most members of a committee.
pub const MAX_MEMBERS: usize = 16;
/// Keeps the seeds of members apart from other streams.
const STREAM: u64 = 0x006d_656d_6265_7273;

pub(crate) fn check_members(members: usize) -> Result<(), EncoderError> {
    match members {
        1..=MAX_MEMBERS => Ok(()),
        _ => refused("members", format!("{members} is not in 1..={MAX_MEMBERS}")),
    }
}

/// The seed of a member; the first has that of the committee.
pub(crate) fn member_seed(seed: u64, member: usize) -> u64 {
    if member == 0 { seed } else { seeded_rng(&[seed, STREAM, member as u64]).next_u64() }
}

/// What members say, each `[batch, width]` and of any length, as `[batch, members * width]`; what one says alone stays as it
/// is.
pub(crate) fn side_by_side(mut said: Vec<Tensor<2>>) -> Tensor<2> {
    if said.len() == 1 {
        return said.remove(0);
    }
    let share = (said.len() as f64).sqrt().recip();
    Tensor::cat(said.into_iter().map(l2_normalised).collect(), 1) * share
}

/// What one encoder says, for all members to compare with: `[batch, width]` to `[batch, members * width]`.
pub(crate) fn for_each_member(said: Tensor<2>, members: usize) -> Tensor<2> {
    if members == 1 { said } else { side_by_side(vec![said; members]) }
}

/// [`side_by_side`] as ONNX nodes.
pub(crate) fn onnx_side_by_side(graph: &mut OnnxGraph, mut said: Vec<OnnxValue>) -> OnnxValue {
    if said.len() == 1 {
        return said.remove(0);
    }
    let share = (said.len() as f32).sqrt().recip();
    let unit: Vec<OnnxValue> = said.iter().map(|one| graph.l2_normalised(one)).collect();
    let all = graph.concat(&unit.iter().collect::<Vec<_>>(), 1);
    graph.mul_scalar(&all, share)
}

/// [`for_each_member`] as ONNX nodes.
pub(crate) fn onnx_for_each_member(graph: &mut OnnxGraph, said: OnnxValue, members: usize) -> OnnxValue {
    if members == 1 {
        return said;
    }
    let unit = graph.l2_normalised(&said);
    let all = graph.concat(&vec![&unit; members], 1);
    graph.mul_scalar(&all, (members as f32).sqrt().recip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        BackboneConfig, ImageEncoder, ImageInput, ImageTower, ImageTowerConfig, MeasurementInput, Mode, NetworkConfig,
        PixelEncoderConfig, PublishedBranchConfig, PublishedHead, ResNetBlock, ResNetConfig, Symmetries, TextConfig,
        TextEncoder, TextInput, TextTower, TextTowerConfig,
    };
    use burn::tensor::{Device, Distribution};

    const WIDTH: usize = 8;

    fn difference(a: Tensor<2>, b: Tensor<2>) -> f32 {
        (a - b).abs().max().into_scalar()
    }

    /// A member's part of what a committee of three says, of unit length.
    fn part(whole: &Tensor<2>, k: usize) -> Tensor<2> {
        whole.clone().narrow(1, k * WIDTH, WIDTH) * 3.0_f64.sqrt()
    }

    /// Pixels alone, seen from four sides by a network that answers with `8 * width` numbers.
    fn around_a_network(head: PublishedHead, width: usize) -> ImageTowerConfig {
        let network =
            ResNetConfig { block: ResNetBlock::Basic, depths: [1; 4], stem: 4, width: width.div_ceil(8).max(1) };
        let backbone =
            BackboneConfig { network: NetworkConfig::ResNet(network), side: 32, mean: [0.5; 3], std: [0.5; 3] };
        let symmetries = Symmetries::try_from(4).unwrap();
        let branch = PublishedBranchConfig { backbone, head, frozen: true, symmetries };
        let pixels = Some(PixelEncoderConfig::Published(branch));
        ImageTowerConfig { pixels, measurements: None, readings: None, branch_dropout: 0.0 }
    }

    #[test]
    fn a_committee_says_what_each_member_says() {
        let device = Device::flex();
        let config = ImageTowerConfig::both(9);
        let committee = config.init_committee(WIDTH, 3, 5, &device).unwrap();
        assert_eq!((committee.embed_dim(), committee.members()), (3 * WIDTH, 3));
        let pixels: Tensor<4> = Tensor::random([2, 3, 112, 112], Distribution::Default, &device);
        let values = Tensor::random([2, 9], Distribution::Default, &device);
        let ask = |tower: &ImageTower, pixels: Option<&Tensor<4>>, measured: bool| {
            let measurements = measured.then(|| MeasurementInput::complete(values.clone()));
            let input = ImageInput { pixels: pixels.cloned(), features: None, measurements };
            tower.forward(input, &mut Mode::Eval).pooled
        };
        for (pixels, measured) in [(Some(&pixels), true), (Some(&pixels), false), (None, true)] {
            let whole = ask(&committee, pixels, measured);
            for k in 0..3 {
                let alone = config.init(WIDTH, member_seed(5, k), &device).unwrap();
                let said = l2_normalised(ask(&alone, pixels, measured));
                assert!(difference(part(&whole, k), said) < 1e-5, "member {k}");
            }
            assert!(difference(part(&whole, 0), part(&whole, 1)) > 1e-3, "members differ");
        }
    }

    #[test]
    fn members_share_a_published_encoder() {
        let device = Device::flex();
        let config = around_a_network(PublishedHead::Perceptron { hidden: 4, dropout: 0.0, noise: 0.0 }, 4);
        let (one, three) =
            (config.init(WIDTH, 5, &device).unwrap(), config.init_committee(WIDTH, 3, 5, &device).unwrap());
        let pixels: Tensor<4> = Tensor::random([2, 3, 32, 32], Distribution::Default, &device);
        let by_pixels = |tower: &ImageTower| {
            let input = ImageInput { pixels: Some(pixels.clone()), ..ImageInput::default() };
            tower.forward(input, &mut Mode::Eval).pooled
        };
        let whole = by_pixels(&three);
        let alone = |k| config.init(WIDTH, member_seed(5, k), &device).unwrap();
        let behind_the_first =
            |k| alone(k).map_published(|b| b.with_backbone(one.published().unwrap().backbone().clone()));
        for k in 0..3 {
            let said = l2_normalised(by_pixels(&behind_the_first(k).unwrap()));
            assert!(difference(part(&whole, k), said) < 1e-5, "member {k}");
        }
        assert!((1..3).all(|k| difference(part(&whole, 0), part(&whole, k)) > 1e-3));
        let features = three.features(pixels.clone());
        let by_features = three.forward(ImageInput { features, ..ImageInput::default() }, &mut Mode::Eval).pooled;
        assert_eq!(difference(by_features, whole.clone()), 0.0);
        let look = three.look(pixels.clone()).pooled;
        assert!(difference(part(&look, 0), l2_normalised(one.look(pixels).pooled)) < 1e-5);
        assert!(difference(look, whole) > 1e-4, "a look is from one side");
    }

    #[test]
    fn a_text_means_the_same_to_each_member() {
        let device = Device::flex();
        let config = TextTowerConfig::from(TextConfig { depth: 1, ..TextConfig::default() });
        let one = config.init(50, WIDTH, 5, &device).unwrap();
        let three = one.clone().for_members(3).unwrap();
        assert_eq!((three.embed_dim(), three.members(), three.max_len()), (3 * WIDTH, 3, 64));
        let input = TextInput::from_ids(&[vec![2, 7, 9], vec![4, 4]], 0, &[], &[], &device);
        let said = |tower: &TextTower| tower.forward(input.clone(), &mut Mode::Eval).pooled;
        let (alone, whole) = (l2_normalised(said(&one)), said(&three));
        (0..3).for_each(|k| assert!(difference(part(&whole, k), alone.clone()) < 1e-5, "member {k}"));
        assert_eq!(difference(said(&three.for_members(1).unwrap()), said(&one)), 0.0);
    }

    #[test]
    fn impossible_committees_are_refused() {
        let device = Device::flex();
        let text = TextTowerConfig::default().init(50, WIDTH, 1, &device).unwrap();
        for members in [0, MAX_MEMBERS + 1] {
            let image = ImageTowerConfig::measurements_only(3).init_committee(WIDTH, members, 1, &device).unwrap_err();
            let text = text.clone().for_members(members).unwrap_err();
            assert!([image, text].iter().all(|e| e.to_string().contains("not in 1..=16")));
        }
        let head = PublishedHead::None;
        let alike = ImageTowerConfig { measurements: None, ..around_a_network(head, WIDTH) };
        assert!(alike.init_committee(WIDTH, 2, 1, &device).unwrap_err().to_string().contains("say the same"));
        alike.init_committee(WIDTH, 1, 1, &device).unwrap();
    }
}
