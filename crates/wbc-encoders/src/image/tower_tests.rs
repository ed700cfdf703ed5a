use super::*;
use crate::l2_normalised;
use crate::{
    Activation, BackboneConfig, ConvNextConfig, EfficientNetLiteConfig, MeasurementInput, NetworkConfig, PublishedHead,
    ResNetBlock, ResNetConfig, VisionTransformerConfig, VitPooling,
};

fn inputs(device: &Device) -> ImageInput {
    ImageInput {
        pixels: Some(Tensor::random([3, 3, 112, 112], burn::tensor::Distribution::Default, device)),
        features: None,
        measurements: Some(MeasurementInput::complete(Tensor::random(
            [3, 9],
            burn::tensor::Distribution::Default,
            device,
        ))),
    }
}

#[test]
fn each_branch_works_alone_and_both_are_their_unit_vectors_added() {
    let device = Device::flex();
    let tower = ImageTowerConfig::both(9).init(32, 1, &device).unwrap();
    let both = inputs(&device);
    let ask = |pixels: bool, measurements: bool| {
        let input = ImageInput {
            pixels: both.pixels.clone().filter(|_| pixels),
            features: None,
            measurements: both.measurements.clone().filter(|_| measurements),
        };
        tower.forward(input, &mut Mode::Eval).pooled
    };
    let sum = l2_normalised(ask(true, false)) + l2_normalised(ask(false, true));
    let difference: f32 = (ask(true, true) - sum).abs().max().into_scalar();
    assert!(difference < 1e-5, "{difference}");
}

#[test]
fn a_cell_without_measurements_is_seen_by_its_pixels_alone() {
    let device = Device::flex();
    let tower = ImageTowerConfig::both(9).init(32, 1, &device).unwrap();
    let mut input = inputs(&device);
    let silent = input.measurements.take().map(|m| MeasurementInput { mask: m.mask.zeros_like(), ..m });
    let alone = l2_normalised(tower.forward(input.clone(), &mut Mode::Eval).pooled);
    let both = tower.forward(ImageInput { measurements: silent, ..input }, &mut Mode::Eval).pooled;
    let difference: f32 = (both - alone).abs().max().into_scalar();
    assert!(difference < 1e-5, "{difference}");
}

/// Whatever reads the layers of an encoder may share its features out over their positions.
#[test]
fn features_are_means_and_spreads_of_the_layers_that_are_told_with_them() {
    let device = Device::flex();
    let tower = |network: NetworkConfig, head: PublishedHead| {
        let backbone = BackboneConfig { network, side: 32, mean: [0.4; 3], std: [0.3; 3] };
        let branch = PublishedBranchConfig { backbone, head, frozen: true, symmetries: crate::Symmetries::ONE };
        let pixels = Some(PixelEncoderConfig::Published(branch));
        ImageTowerConfig { pixels, measurements: None, readings: None, branch_dropout: 0.0 }
            .init(8, 2, &device)
            .unwrap()
    };
    let vit = |pooling| {
        NetworkConfig::Vit(VisionTransformerConfig {
            patch: 8,
            width: 8,
            depth: 4,
            heads: 2,
            hidden: 16,
            activation: Activation::Gelu,
            norm_epsilon: 1e-6,
            class_token: pooling == VitPooling::Class,
            patch_bias: true,
            pre_norm: false,
            pooling,
            projection: None,
        })
    };
    let resnet = NetworkConfig::ResNet(ResNetConfig { block: ResNetBlock::Basic, depths: [1; 4], stem: 4, width: 4 });
    let pixels = Tensor::random([2, 3, 32, 32], burn::tensor::Distribution::Default, &device);
    for network in [resnet, NetworkConfig::EfficientNetLite(EfficientNetLiteConfig {}), vit(VitPooling::Mean)] {
        let tower = tower(network.clone(), PublishedHead::default());
        let FeatureLayers { features, layers } = tower.layers(pixels.clone()).unwrap();
        let handed_in = tower.features(pixels.clone()).unwrap();
        let difference: f32 = (features.clone() - handed_in).abs().max().into_scalar();
        assert!(difference == 0.0, "{network:?}: {difference}");
        let of_layer = |layer: &crate::FeatureLayer| {
            let (spread, mean) = layer.map.clone().var_mean(2);
            let mut all = vec![mean.squeeze_dim::<2>(2)];
            all.extend(layer.with_spread.then(|| spread.sqrt().squeeze_dim::<2>(2)));
            Tensor::cat(all, 1)
        };
        let again = Tensor::cat(layers.iter().map(of_layer).collect(), 1);
        let difference: f32 = (features - again).abs().max().into_scalar();
        assert!(difference < 1e-4, "{network:?}: {difference}");
    }
    let by_class = tower(vit(VitPooling::Class), PublishedHead::default());
    let linear = tower(NetworkConfig::EfficientNetLite(EfficientNetLiteConfig {}), PublishedHead::Linear);
    let convnext = NetworkConfig::ConvNext(ConvNextConfig { depths: [1; 4], widths: [4, 4, 8, 8] });
    let normed = [convnext, vit(VitPooling::MeanThenNorm)].map(|n| tower(n, PublishedHead::default()));
    assert!(normed.iter().chain([&by_class, &linear]).all(|tower| tower.layers(pixels.clone()).is_none()));
    let own = ImageTowerConfig { measurements: None, ..ImageTowerConfig::both(9) }.init(8, 1, &device).unwrap();
    assert!(own.layers(Tensor::zeros([1, 3, 112, 112], &device)).is_none());
}

#[test]
fn patch_contributions_average_to_the_embedding() {
    let device = Device::flex();
    let tower = ImageTowerConfig { measurements: None, ..ImageTowerConfig::both(9) }.init(32, 1, &device).unwrap();
    let out = tower.forward(ImageInput { measurements: None, ..inputs(&device) }, &mut Mode::Eval);
    let mean = out.patches.unwrap().mean_dim(1).squeeze_dim::<2>(1);
    let difference: f32 = (mean - out.pooled).abs().max().into_scalar();
    assert!(difference < 1e-5, "{difference}");
}

#[test]
fn positions_of_a_published_encoder_average_to_the_embedding_or_are_not_told() {
    let device = Device::flex();
    let vit = |pooling| {
        NetworkConfig::Vit(VisionTransformerConfig {
            patch: 16,
            width: 8,
            depth: 1,
            heads: 1,
            hidden: 8,
            activation: Activation::Gelu,
            norm_epsilon: 1e-6,
            class_token: true,
            patch_bias: true,
            pre_norm: false,
            pooling,
            projection: None,
        })
    };
    let resnet = ResNetConfig { block: ResNetBlock::Basic, depths: [1; 4], stem: 4, width: 4 };
    let convnext = ConvNextConfig { depths: [1; 4], widths: [4, 4, 8, 8] };
    for (network, told) in [
        (vit(VitPooling::Mean), true),
        (vit(VitPooling::Class), false),
        (vit(VitPooling::MeanThenNorm), false),
        (NetworkConfig::ResNet(resnet), true),
        (NetworkConfig::EfficientNetLite(EfficientNetLiteConfig {}), true),
        (NetworkConfig::ConvNext(convnext), false),
    ] {
        let backbone = BackboneConfig { network, side: 64, mean: [0.5; 3], std: [0.5; 3] };
        let branch = PublishedBranchConfig {
            backbone,
            head: PublishedHead::Linear,
            frozen: false,
            symmetries: crate::Symmetries::ONE,
        };
        let pixels = Some(PixelEncoderConfig::Published(branch));
        let tower = ImageTowerConfig { pixels, measurements: None, readings: None, branch_dropout: 0.0 }
            .init(6, 1, &device)
            .unwrap();
        let pixels = Some(Tensor::random([2, 3, 64, 64], burn::tensor::Distribution::Default, &device));
        let out = tower.forward(ImageInput { pixels, ..ImageInput::default() }, &mut Mode::Eval);
        assert_eq!(out.patches.is_some(), told);
        if let Some(patches) = out.patches {
            let difference: f32 = (patches.mean_dim(1).squeeze_dim::<2>(1) - out.pooled).abs().max().into_scalar();
            assert!(difference < 1e-5, "{difference}");
        }
    }
}

#[test]
fn a_look_is_what_is_said_without_symmetries() {
    let device = Device::flex();
    let resnet = ResNetConfig { block: ResNetBlock::Basic, depths: [1; 4], stem: 4, width: 4 };
    let backbone = BackboneConfig { network: NetworkConfig::ResNet(resnet), side: 32, mean: [0.5; 3], std: [0.5; 3] };
    let pixels = Tensor::arange(0..2 * 3 * 32 * 32, &device).float().reshape([2, 3, 32, 32]);
    let pixels: Tensor<4> = ((pixels * 0.37).sin() + 1.0) / 2.0;
    let perceptron = PublishedHead::Perceptron { hidden: 4, dropout: 0.0, noise: 0.0 };
    for (head, told) in [(perceptron, false), (PublishedHead::Linear, true)] {
        let tower = |symmetries: usize| {
            let symmetries = symmetries.try_into().unwrap();
            let branch =
                PublishedBranchConfig { backbone: backbone.clone(), head: head.clone(), frozen: true, symmetries };
            let pixels = Some(PixelEncoderConfig::Published(branch));
            let config = ImageTowerConfig { pixels, measurements: None, readings: None, branch_dropout: 0.0 };
            config.init(6, 1, &device).unwrap()
        };
        let whole = |tower: &ImageTower| {
            tower.forward(ImageInput { pixels: Some(pixels.clone()), ..ImageInput::default() }, &mut Mode::Eval)
        };
        let difference = |a: &Tensor<2>, b: &Tensor<2>| -> f32 { (a.clone() - b.clone()).abs().max().into_scalar() };
        let (one, four) = (tower(1), tower(4));
        let look = four.look(pixels.clone());
        assert_eq!(difference(&look.pooled, &whole(&one).pooled), 0.0);
        assert!(difference(&look.pooled, &whole(&four).pooled) > 1e-4);
        assert_eq!((look.patches.is_some(), whole(&four).patches.is_some()), (told, false));
    }
}

#[test]
fn the_same_seed_gives_the_same_weights() {
    let device = Device::flex();
    let config = ImageTowerConfig::both(9);
    let answer = |seed| {
        let tower = config.init(8, seed, &device).unwrap();
        let input = ImageInput {
            pixels: Some(Tensor::ones([1, 3, 112, 112], &device)),
            features: None,
            measurements: Some(MeasurementInput::complete(Tensor::ones([1, 9], &device))),
        };
        tower.forward(input, &mut Mode::Eval).pooled.into_data().try_to_vec::<f32>().unwrap()
    };
    assert_eq!(answer(3), answer(3));
    assert_ne!(answer(3), answer(4));
}

#[test]
fn impossible_towers_are_refused_by_field() {
    let device = Device::flex();
    let none = ImageTowerConfig { pixels: None, measurements: None, readings: None, branch_dropout: 0.1 };
    assert!(none.init(8, 0, &device).unwrap_err().to_string().contains("image"));
    let mut odd = ImageTowerConfig::both(9);
    odd.pixels = Some(PixelBranchConfig { side: 100, ..PixelBranchConfig::default() }.into());
    assert!(odd.init(8, 0, &device).unwrap_err().to_string().contains("pixels.side"));
}
