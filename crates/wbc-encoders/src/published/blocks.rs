//! How others name the parts of a transformer block.

use super::layout::{Form, Layout};

/// A transformer block as OpenAI's CLIP and OpenCLIP name it.
pub(crate) fn open_clip_block(layout: Layout, ours: &str, theirs: &str) -> Layout {
    let (ours, theirs) = (|end: &str| format!("{ours}.{end}"), |end: &str| format!("{theirs}.{end}"));
    layout
        .norm(&ours("attention_norm"), &theirs("ln_1"))
        .param(&ours("qkv.weight"), &theirs("attn.in_proj_weight"), Form::Transposed)
        .param(&ours("qkv.bias"), &theirs("attn.in_proj_bias"), Form::Same)
        .linear(&ours("out"), &theirs("attn.out_proj"))
        .norm(&ours("mlp_norm"), &theirs("ln_2"))
        .linear(&ours("up"), &theirs("mlp.c_fc"))
        .linear(&ours("down"), &theirs("mlp.c_proj"))
}

/// A transformer block as Transformers' `CLIPModel` names it.
pub(crate) fn transformers_block(layout: Layout, ours: &str, theirs: &str) -> Layout {
    let (ours, theirs) = (|end: &str| format!("{ours}.{end}"), |end: &str| format!("{theirs}.{end}"));
    let attention = ["q_proj", "k_proj", "v_proj"].map(|part| theirs(&format!("self_attn.{part}")));
    layout
        .norm(&ours("attention_norm"), &theirs("layer_norm1"))
        .linears(&ours("qkv"), &attention.each_ref().map(String::as_str))
        .linear(&ours("out"), &theirs("self_attn.out_proj"))
        .norm(&ours("mlp_norm"), &theirs("layer_norm2"))
        .linear(&ours("up"), &theirs("mlp.fc1"))
        .linear(&ours("down"), &theirs("mlp.fc2"))
}

/// A transformer block of BERT as Transformers names it; `norm` adds a layer normalisation, whose parts old checkpoints
/// call otherwise.
pub(crate) fn bert_block(layout: Layout, norm: fn(Layout, &str, &str) -> Layout, ours: &str, theirs: &str) -> Layout {
    let (ours, theirs) = (|end: &str| format!("{ours}.{end}"), |end: &str| format!("{theirs}.{end}"));
    let attention = ["query", "key", "value"].map(|part| theirs(&format!("attention.self.{part}")));
    let layout = layout
        .linears(&ours("qkv"), &attention.each_ref().map(String::as_str))
        .linear(&ours("out"), &theirs("attention.output.dense"))
        .linear(&ours("up"), &theirs("intermediate.dense"))
        .linear(&ours("down"), &theirs("output.dense"));
    let layout = norm(layout, &ours("attention_norm"), &theirs("attention.output.LayerNorm"));
    norm(layout, &ours("mlp_norm"), &theirs("output.LayerNorm"))
}
