//! Published encoders, small, with every part that their configurations can choose.

use crate::reference::{Reference, image_case, text_case};
use crate::{BATCHES, EMBED_DIM, TEXTS, check_structure, image_input, signature, tokenizer};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Distribution, Tensor};
use wbc_encoders::{
    Activation, BackboneConfig, BertConfig, BertPooling, BertProjection, ClipTextConfig, ConvNextConfig,
    EfficientNetLiteConfig, ImageTower, ImageTowerConfig, MeasurementBranchConfig, NetworkConfig, OnnxModel,
    PixelEncoderConfig, PublishedBranchConfig, PublishedHead, PublishedTextConfig, ResNetBlock, ResNetConfig,
    Symmetries, TextEncoder, TextTowerConfig, VisionTransformerConfig, VitPooling,
};

/// Numbers that the pixels of a published encoder are normalised by: mean and deviation.
const N_PIXEL_STATISTICS: usize = 6;

/// Moves all vectors, so that scales, offsets and running statistics are none that change nothing. Up, so that variances
/// stay above zero.
struct Moved;

impl ModuleMapper for Moved {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|p| {
            let by = Tensor::random(p.dims(), Distribution::Uniform(0.0, if D == 1 { 0.3 } else { 0.02 }), &p.device());
            p + by
        })
    }
}

/// Parameters of a file: a normalisation's four vectors, whose third is `running_mean`, become one.
fn n_written<M: Module>(module: &M) -> usize {
    #[derive(Default)]
    struct Counter {
        names: Vec<String>,
        n_means: usize,
    }
    impl ModuleVisitor for Counter {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.names.push(name.into());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.names.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if self.names.last().is_some_and(|n| n == "running_mean") {
                self.n_means += param.shape().num_elements();
            }
        }
    }
    let mut counter = Counter::default();
    module.visit(&mut counter);
    module.num_params() - 3 * counter.n_means + N_PIXEL_STATISTICS
}

fn tower(network: NetworkConfig, side: usize, head: PublishedHead, embed_dim: usize, measured: bool) -> ImageTower {
    let backbone = BackboneConfig { network, side, mean: [0.48, 0.45, 0.4], std: [0.26, 0.27, 0.28] };
    tower_of(PublishedBranchConfig { backbone, head, frozen: true, symmetries: Symmetries::ONE }, embed_dim, measured)
}

fn tower_of(branch: PublishedBranchConfig, embed_dim: usize, measured: bool) -> ImageTower {
    committee_of(branch, embed_dim, 1, measured)
}

fn committee_of(branch: PublishedBranchConfig, embed_dim: usize, members: usize, measured: bool) -> ImageTower {
    let config = ImageTowerConfig {
        pixels: Some(PixelEncoderConfig::Published(branch)),
        measurements: measured.then(|| MeasurementBranchConfig::new(crate::N_MEASUREMENTS)),
        readings: None,
        branch_dropout: 0.25,
    };
    let tower = config.init_committee(embed_dim, members, 3, &Device::flex()).unwrap().materialize();
    tower.map(&mut Moved)
}

fn check(name: &str, tower: &ImageTower, side: usize, measured: bool, embed_dim: usize) {
    let model = OnnxModel::image(tower).unwrap();
    let graph = check_structure(&model, n_written(tower)).graph.unwrap();
    assert_eq!(signature(&graph.input)[0], format!("pixels[batch,3,{side},{side}]"));
    assert_eq!(signature(&graph.output)[0], format!("image_embedding[batch,{embed_dim}]"));
    let mut reference = Reference::default();
    for n in BATCHES {
        image_case(&mut reference, tower, image_input(n, Some(side), measured, &Device::flex()));
    }
    reference.save(name, &model);
}

fn perceptron() -> PublishedHead {
    PublishedHead::Perceptron { hidden: 24, dropout: 0.3, noise: 0.1 }
}

/// A vision transformer with all that CLIP's has.
fn clip_vit() -> VisionTransformerConfig {
    VisionTransformerConfig {
        patch: 8,
        width: 16,
        depth: 4,
        heads: 2,
        hidden: 24,
        activation: Activation::QuickGelu,
        norm_epsilon: 1e-5,
        class_token: true,
        patch_bias: false,
        pre_norm: true,
        pooling: VitPooling::Class,
        projection: Some(12),
    }
}

#[test]
fn vision_transformers_pooled_by_class_token_mean_and_mean_before_norm() {
    let timm = VisionTransformerConfig {
        activation: Activation::Gelu,
        norm_epsilon: 1e-3,
        class_token: false,
        patch_bias: true,
        pre_norm: false,
        pooling: VitPooling::Mean,
        projection: None,
        ..clip_vit()
    };
    let after = VisionTransformerConfig {
        class_token: true,
        pooling: VitPooling::MeanThenNorm,
        activation: Activation::GeluTanh,
        ..timm.clone()
    };
    for (name, config, head, embed_dim) in [
        ("published-vit-class", clip_vit(), PublishedHead::None, 12),
        ("published-vit-mean", timm, PublishedHead::Linear, EMBED_DIM),
        ("published-vit-mean-then-norm", after, perceptron(), EMBED_DIM),
    ] {
        let measured = name == "published-vit-mean";
        let tower = tower(NetworkConfig::Vit(config), 24, head, embed_dim, measured);
        check(name, &tower, 24, measured, embed_dim);
    }
}

#[test]
fn residual_networks_of_both_blocks_at_even_and_odd_sides() {
    let basic = ResNetConfig { block: ResNetBlock::Basic, depths: [1, 2, 1, 1], stem: 6, width: 4 };
    let bottleneck = ResNetConfig { block: ResNetBlock::Bottleneck, ..basic.clone() };
    for (name, config, side, head) in [
        ("published-resnet-basic", basic, 47, perceptron()),
        ("published-resnet-bottleneck", bottleneck, 64, PublishedHead::Linear),
    ] {
        let tower = tower(NetworkConfig::ResNet(config), side, head, EMBED_DIM, false);
        check(name, &tower, side, false, EMBED_DIM);
    }
}

#[test]
fn means_over_symmetries() {
    let network = ResNetConfig { block: ResNetBlock::Basic, depths: [1; 4], stem: 6, width: 4 };
    for (name, symmetries, head) in [
        ("published-two-symmetries", 2, perceptron()),
        ("published-four-symmetries", 4, PublishedHead::Linear),
        ("published-eight-symmetries", 8, perceptron()),
    ] {
        let network = NetworkConfig::ResNet(network.clone());
        let backbone = BackboneConfig { network, side: 47, mean: [0.48, 0.45, 0.4], std: [0.26, 0.27, 0.28] };
        let symmetries = Symmetries::try_from(symmetries).unwrap();
        let tower = tower_of(PublishedBranchConfig { backbone, head, frozen: true, symmetries }, EMBED_DIM, false);
        check(name, &tower, 47, false, EMBED_DIM);
    }
}

#[test]
fn committees_around_one_encoder() {
    let network = ResNetConfig { block: ResNetBlock::Basic, depths: [1; 4], stem: 6, width: 4 };
    let network = NetworkConfig::ResNet(network);
    let backbone = BackboneConfig { network, side: 47, mean: [0.48, 0.45, 0.4], std: [0.26, 0.27, 0.28] };
    for (name, head, measured) in [
        ("published-committee", perceptron(), true),
        ("published-committee-pixels", perceptron(), false),
        ("published-committee-linear", PublishedHead::Linear, true),
    ] {
        let symmetries = Symmetries::try_from(2).unwrap();
        let branch = PublishedBranchConfig { backbone: backbone.clone(), head, frozen: true, symmetries };
        let tower = committee_of(branch, EMBED_DIM, 3, measured);
        check(name, &tower, 47, measured, 3 * EMBED_DIM);
    }
}

#[test]
fn efficientnet_lite_pads_as_its_side_needs() {
    for (name, side) in [("published-efficientnet-lite-even", 48), ("published-efficientnet-lite-odd", 37)] {
        let network = NetworkConfig::EfficientNetLite(EfficientNetLiteConfig {});
        check(name, &tower(network, side, perceptron(), EMBED_DIM, false), side, false, EMBED_DIM);
    }
}

#[test]
fn convnext() {
    let config = ConvNextConfig { depths: [1, 2, 1, 1], widths: [6, 8, 10, 12] };
    let tower = tower(NetworkConfig::ConvNext(config), 70, perceptron(), EMBED_DIM, false);
    check("published-convnext", &tower, 70, false, EMBED_DIM);
}

#[test]
fn a_convnext_that_leaves_nothing_of_the_image_is_refused() {
    let network = NetworkConfig::ConvNext(ConvNextConfig { depths: [1; 4], widths: [4; 4] });
    let backbone = BackboneConfig { network, side: 31, mean: [0.5; 3], std: [0.5; 3] };
    assert!(backbone.check().unwrap_err().to_string().contains("backbone.side"));
}

#[test]
fn texts_of_published_encoders_with_and_without_a_map_behind_them() {
    let device = Device::flex();
    let tokenizer = tokenizer();
    let clip = ClipTextConfig {
        vocab_size: tokenizer.vocab_size(),
        max_len: 20,
        width: 16,
        depth: 2,
        heads: 2,
        hidden: 24,
        activation: Activation::QuickGelu,
        norm_epsilon: 1e-5,
        projection: Some(12),
    };
    let bert = BertConfig {
        vocab_size: tokenizer.vocab_size(),
        token_types: 2,
        positions: 30,
        max_len: 18,
        width: 16,
        depth: 2,
        heads: 2,
        hidden: 24,
        activation: Activation::Gelu,
        norm_epsilon: 1e-3,
        pooling: BertPooling::Mean,
        projection: BertProjection::Mlp { hidden: 14, outputs: 12 },
    };
    let first =
        BertConfig { pooling: BertPooling::First, projection: BertProjection::Linear { outputs: 10 }, ..bert.clone() };
    let bare = BertConfig { max_len: 30, projection: BertProjection::None, ..bert.clone() };
    let unprojected = ClipTextConfig { activation: Activation::Gelu, projection: None, ..clip.clone() };
    // not written: the second kind of token, and positions that no text reaches
    for (name, config, embed_dim, n_unwritten) in [
        ("published-text-clip", PublishedTextConfig::Clip(clip), 12, 0),
        ("published-text-clip-headed", PublishedTextConfig::Clip(unprojected), EMBED_DIM, 0),
        ("published-text-bert-mean", PublishedTextConfig::Bert(bert), 12, (2 + 12) * 16),
        ("published-text-bert-first", PublishedTextConfig::Bert(first), EMBED_DIM, (2 + 12) * 16),
        ("published-text-bert-bare", PublishedTextConfig::Bert(bare), 16, 2 * 16),
    ] {
        let tower = TextTowerConfig::Published(config).init(tokenizer.vocab_size(), embed_dim, 2, &device).unwrap();
        let tower = tower.materialize().map(&mut Moved);
        assert_eq!(tower.embed_dim(), embed_dim);
        let model = OnnxModel::text(&tower, &tokenizer).unwrap();
        check_structure(&model, tower.num_params() - n_unwritten);
        let mut reference = Reference::default();
        for texts in [&TEXTS[..], &TEXTS[..1], &TEXTS[6..7], &TEXTS[8..]] {
            text_case(&mut reference, &tower, &tokenizer, &tokenizer.ids(texts, usize::MAX).unwrap(), &device);
        }
        text_case(&mut reference, &tower, &tokenizer, &[vec![1, 7], vec![], vec![3; 40]], &device);
        reference.save(name, &model);
    }
}
