//! Encoders of one's own, which use what the built-in ones do not: convolutions, pooling, other activations, a class
//! token, attention over separate queries, keys and values that never looks ahead.

use burn::module::{Module, Param, RunningState};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{AvgPool2d, AvgPool2dConfig, MaxPool2d, MaxPool2dConfig};
use burn::nn::{
    BatchNorm, BatchNormConfig, Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, PaddingConfig2d,
};
use burn::tensor::activation::{gelu, gelu_approximate, relu};
use burn::tensor::{Bool, Device, Distribution, Int, Tensor};
use wbc_core::seeded_rng;
use wbc_encoders::{
    EncoderError, ImageEncoder, ImageInput, ImageOutput, Mode, OnnxAffine, OnnxConv2d, OnnxGraph, OnnxImageEncoder,
    OnnxImageInput, OnnxImageShape, OnnxPool2d, OnnxTextEncoder, OnnxTextInput, OnnxValue, TextEncoder, TextInput,
    TextOutput, attention, linear,
};

/// A small convolutional network.
#[derive(Module, Debug)]
pub(crate) struct Convolutions {
    stem: Conv2d,
    norm: BatchNorm,
    depthwise: Conv2d,
    pointwise: Conv2d,
    largest: MaxPool2d,
    average: AvgPool2d,
    projection: Linear,
}

impl Convolutions {
    pub(crate) const SIDE: usize = 33;

    pub(crate) fn init(embed_dim: usize, seed: u64, device: &Device) -> Self {
        device.seed(seed);
        let conv = |channels, kernel, stride, padding, groups| {
            let config = Conv2dConfig::new(channels, kernel).with_stride(stride).with_padding(padding);
            config.with_groups(groups).init(device)
        };
        let random = |low, high| Tensor::<1>::random([8], Distribution::Uniform(low, high), device);
        let mut norm = BatchNormConfig::new(8).with_epsilon(1e-3).init(device);
        norm.gamma = Param::from_tensor(random(0.5, 1.5));
        norm.beta = Param::from_tensor(random(-0.5, 0.5));
        norm.running_mean = RunningState::new(random(-0.5, 0.5));
        norm.running_var = RunningState::new(random(0.2, 2.0));
        let module = Self {
            // what TensorFlow's `same` is at an even side: more on the right and at the bottom
            stem: conv([3, 8], [3, 3], [2, 2], PaddingConfig2d::Explicit(0, 1, 1, 2), 1),
            norm,
            depthwise: conv([8, 8], [5, 5], [1, 1], PaddingConfig2d::Explicit(2, 2, 2, 2), 8),
            pointwise: conv([8, 16], [1, 1], [1, 1], PaddingConfig2d::Valid, 1),
            largest: MaxPool2dConfig::new([3, 3])
                .with_strides([2, 2])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(),
            average: AvgPool2dConfig::new([3, 3])
                .with_strides([2, 2])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .with_count_include_pad(false)
                .init(),
            projection: linear(16, embed_dim, &mut seeded_rng(&[seed]), device),
        };
        module.materialize()
    }

    /// Parameters of the file: the normalisation's four become two.
    pub(crate) fn n_written(&self) -> usize {
        let conv = |c: &Conv2d| c.num_params();
        conv(&self.stem) + conv(&self.depthwise) + conv(&self.pointwise) + 2 * 8 + self.projection.num_params()
    }
}

impl ImageEncoder for Convolutions {
    fn embed_dim(&self) -> usize {
        self.projection.weight.dims()[1]
    }

    fn forward(&self, input: ImageInput, _: &mut Mode<'_>) -> ImageOutput {
        let x = self.norm.forward(self.stem.forward(input.pixels.expect("pixels")));
        let x = self.largest.forward(x.clamp(0.0, 6.0));
        let x = gelu(self.average.forward(self.depthwise.forward(x)));
        let x = relu(self.pointwise.forward(x));
        let pooled = x.mean_dim(3).mean_dim(2).squeeze_dims::<2>(&[2, 3]);
        ImageOutput { pooled: self.projection.forward(pooled), patches: None }
    }
}

fn exported(conv: &Conv2d, pads: [usize; 4]) -> OnnxConv2d {
    OnnxConv2d {
        weight: conv.weight.val(),
        bias: conv.bias.as_ref().map(|b| b.val()),
        stride: conv.stride,
        pads,
        dilation: conv.dilation,
        groups: conv.groups,
    }
}

impl OnnxImageEncoder for Convolutions {
    fn onnx_shape(&self) -> OnnxImageShape {
        OnnxImageShape { side: Some(Self::SIDE), n_measurements: None }
    }

    fn onnx(&self, graph: &mut OnnxGraph, input: &OnnxImageInput) -> Result<OnnxValue, EncoderError> {
        let norm = &self.norm;
        let (mean, variance) = (norm.running_mean.value(), norm.running_var.value());
        let norm = OnnxAffine::batch_norm(norm.gamma.val(), norm.beta.val(), mean, variance, norm.epsilon);
        let pool = OnnxPool2d { kernel: [3, 3], stride: [2, 2], pads: [1; 4] };
        let x = graph.conv2d("stem", exported(&self.stem, [0, 1, 1, 2]), input.pixels.as_ref().expect("pixels"));
        let x = graph.affine("norm", norm, &x);
        let x = graph.clip(&x, 0.0, 6.0);
        let x = graph.max_pool(pool, &x);
        let x = graph.conv2d("depthwise", exported(&self.depthwise, [2; 4]), &x);
        let x = graph.average_pool(pool, &x);
        let x = graph.gelu(&x);
        let x = graph.conv2d("pointwise", exported(&self.pointwise, [0; 4]), &x);
        let x = graph.relu(&x);
        let x = graph.global_average_pool(&x);
        Ok(graph.linear("projection", &self.projection, &x))
    }
}

/// A class token before patches that a convolution cuts, and one layer of attention.
#[derive(Module, Debug)]
pub(crate) struct ClassToken {
    patches: Conv2d,
    class: Param<Tensor<3>>,
    qkv: Linear,
    projection: Linear,
}

impl ClassToken {
    pub(crate) const SIDE: usize = 32;
    const PATCH: usize = 8;
    const WIDTH: usize = 12;
    const HEADS: usize = 3;

    pub(crate) fn init(embed_dim: usize, seed: u64, device: &Device) -> Self {
        device.seed(seed);
        let patch = [Self::PATCH; 2];
        let layer = |n| linear(Self::WIDTH, n, &mut seeded_rng(&[seed, n as u64]), device);
        let module = Self {
            patches: Conv2dConfig::new([3, Self::WIDTH], patch).with_stride(patch).with_bias(false).init(device),
            class: Param::from_tensor(Tensor::random([1, 1, Self::WIDTH], Distribution::Default, device)),
            qkv: layer(3 * Self::WIDTH),
            projection: layer(embed_dim),
        };
        module.materialize()
    }
}

impl ImageEncoder for ClassToken {
    fn embed_dim(&self) -> usize {
        self.projection.weight.dims()[1]
    }

    fn forward(&self, input: ImageInput, _: &mut Mode<'_>) -> ImageOutput {
        let patches = self.patches.forward(input.pixels.expect("pixels")).flatten::<3>(2, 3).swap_dims(1, 2);
        let [batch, n, width] = patches.dims();
        let x = Tensor::cat(vec![self.class.val().expand([batch, 1, width]), patches], 1);
        let qkv = self.qkv.forward(x.clone());
        let heads = |i: usize| {
            let shape = [batch, n + 1, Self::HEADS, width / Self::HEADS];
            qkv.clone().narrow(2, i * width, width).reshape(shape).swap_dims(1, 2)
        };
        let mixed = attention(heads(0), heads(1), heads(2), None).swap_dims(1, 2).reshape([batch, n + 1, width]);
        let first = (x + mixed).narrow(1, 0, 1).squeeze_dim::<2>(1);
        ImageOutput { pooled: self.projection.forward(first), patches: None }
    }
}

impl OnnxImageEncoder for ClassToken {
    fn onnx_shape(&self) -> OnnxImageShape {
        OnnxImageShape { side: Some(Self::SIDE), n_measurements: None }
    }

    fn onnx(&self, graph: &mut OnnxGraph, input: &OnnxImageInput) -> Result<OnnxValue, EncoderError> {
        let x = graph.conv2d("patches", exported(&self.patches, [0; 4]), input.pixels.as_ref().expect("pixels"));
        let x = graph.reshape(&x, &[0, Self::WIDTH as i64, (Self::SIDE / Self::PATCH).pow(2) as i64]);
        let x = graph.transpose(&x, &[0, 2, 1]);
        let class = graph.parameter("class", self.class.val());
        let class = graph.repeated(&class, &x);
        let x = graph.concat(&[&class, &x], 1);
        let qkv = graph.linear("qkv", &self.qkv, &x);
        let mixed = graph.joint_attention(&qkv, Self::WIDTH, Self::HEADS, None);
        let x = graph.add(&x, &mixed);
        let x = graph.first_token(&x);
        Ok(graph.linear("projection", &self.projection, &x))
    }
}

/// One layer of causal attention, pooled at the largest token id, as CLIP's text transformer is.
#[derive(Module, Debug)]
pub(crate) struct Causal {
    token: Embedding,
    query: Linear,
    key: Linear,
    value: Linear,
    norm: LayerNorm,
    projection: Linear,
}

impl Causal {
    const WIDTH: usize = 24;
    const HEADS: usize = 3;
    const EPSILON: f64 = 1e-3;

    pub(crate) fn init(vocab_size: usize, embed_dim: usize, seed: u64, device: &Device) -> Self {
        device.seed(seed);
        let layer = |n| linear(Self::WIDTH, n, &mut seeded_rng(&[seed, n as u64]), device);
        let module = Self {
            token: EmbeddingConfig::new(vocab_size, Self::WIDTH).init(device),
            query: layer(Self::WIDTH),
            key: layer(Self::WIDTH),
            value: layer(Self::WIDTH),
            norm: LayerNormConfig::new(Self::WIDTH).with_epsilon(Self::EPSILON).init(device),
            projection: layer(embed_dim),
        };
        module.materialize()
    }
}

impl TextEncoder for Causal {
    fn embed_dim(&self) -> usize {
        self.projection.weight.dims()[1]
    }

    fn max_len(&self) -> usize {
        20
    }

    fn forward(&self, input: TextInput, _: &mut Mode<'_>) -> TextOutput {
        let [batch, len] = input.tokens.dims();
        let n = len.min(self.max_len());
        let ids: Tensor<2, Int> = input.tokens.narrow(1, 0, n);
        let x = self.token.forward(ids.clone());
        let heads = |l: &Linear| {
            let shape = [batch, n, Self::HEADS, Self::WIDTH / Self::HEADS];
            l.forward(x.clone()).reshape(shape).swap_dims(1, 2)
        };
        let later: Tensor<2, Bool> = Tensor::<2>::ones([n, n], &x.device()).triu(1).greater_elem(0.5);
        let pad = input.pad.narrow(1, 0, n).reshape([batch, 1, 1, n]).expand([batch, 1, n, n]);
        let hidden = later.reshape([1, 1, n, n]).expand([batch, 1, n, n]).bool_or(pad);
        let mixed = attention(heads(&self.query), heads(&self.key), heads(&self.value), Some(hidden));
        let mixed = mixed.swap_dims(1, 2).reshape([batch, n, Self::WIDTH]);
        let x = self.norm.forward(gelu_approximate(x + mixed));
        let last = ids.argmax(1).reshape([batch, 1, 1]).expand([batch, 1, Self::WIDTH]);
        let pooled = x.clone().gather(1, last).squeeze_dim::<2>(1);
        TextOutput { pooled: self.projection.forward(pooled), tokens: x }
    }
}

impl OnnxTextEncoder for Causal {
    fn onnx(&self, graph: &mut OnnxGraph, input: &OnnxTextInput) -> Result<OnnxValue, EncoderError> {
        let x = graph.embedding("token", self.token.weight.val(), &input.ids);
        let layers = [("query", &self.query), ("key", &self.key), ("value", &self.value)];
        let [q, k, v] = layers.map(|(name, layer)| graph.linear(name, layer, &x));
        let (later, pad) = (graph.later(&input.ids), graph.padding_mask(&input.real));
        let hidden = graph.node("Or", &[&later, &pad], &[]);
        let mixed = graph.attention([&q, &k, &v], Self::WIDTH, Self::HEADS, Some(&hidden));
        let x = graph.add(&x, &mixed);
        let x = graph.gelu_tanh(&x);
        let x = graph.layer_norm("norm", &self.norm, Self::EPSILON, &x);
        let last = graph.arg_max(&input.ids);
        let pooled = graph.token_at(&x, &last);
        Ok(graph.linear("projection", &self.projection, &pooled))
    }
}
