"""Compares exports to OpenCLIP and Transformers with what the Rust side answers, by the code of their model cards.

usage: python3 scripts/check_clip.py FOLDER...
needs: torch 2.9.0, open_clip_torch 3.3.0, timm 1.0.31, transformers 5.24, safetensors 0.8.0, numpy, pillow (versions that
the figures were made with)

Exports, FOLDER/run-*, are written by

    WBC_CLIP_REFERENCE_OUT=FOLDER cargo test --workspace --test clip_export

together with the run's validation cells and some texts. Embeddings and zero-shot probabilities must be within TOLERANCE, and
every cell must get the same class. A safetensors export beside one for OpenCLIP is tried in OpenCLIP's model, too. Exits
with 1 where one is not."""
import pathlib
import re
import sys

import numpy
import torch
from PIL import Image
from safetensors.numpy import load_file

from model_cards import difference, expected, run_card, zero_shot_difference

TOLERANCE = 1e-4
CONFIGS = ["open_clip_config.json", "config.json"]


def as_open_clip(folder):
    """A safetensors export of CLIP's own encoders under OpenCLIP's names: linear weights are transposed here."""
    state, blocks = {}, {"attention_norm": "ln_1", "mlp_norm": "ln_2", "qkv": "attn.in_proj", "out": "attn.out_proj",
                         "up": "mlp.c_fc", "down": "mlp.c_proj"}
    tops = {"class_token": "class_embedding", "position": "positional_embedding", "pre_norm": "ln_pre", "norm": "ln_post",
            "embedding.weight": "conv1.weight", "projection.weight": "proj"}
    texts = {"norm": "ln_final", "token.weight": "token_embedding.weight", "projection.weight": "text_projection",
             "position": "positional_embedding"}
    for name, values in load_file(folder / "weights.safetensors").items():
        for start, prefix, known in [("image.pixels.backbone.network.", "visual.", tops), ("text.encoder.", "", texts)]:
            if not name.startswith(start):
                continue
            own = name[len(start):].replace(".gamma", ".weight").replace(".beta", ".bias")
            block = re.fullmatch(r"blocks\.(\d+)\.(\w+)\.(weight|bias)", own)
            if block:
                i, part, end = block.groups()
                own = f"transformer.resblocks.{i}.{blocks[part]}" + ("_" if part == "qkv" else ".") + end
                values = values.T if values.ndim == 2 else values
            else:
                ours = own if own in known else own.rsplit(".", 1)[0]
                own = known[ours] + own[len(ours):]
            if own == "conv1.weight":
                side = round((values.shape[0] / 3) ** 0.5)
                values = values.T.reshape(-1, 3, side, side)
            state[prefix + own] = values
        if name == "log_scale":
            state["logit_scale"] = values[0]
    return state


def check(folder, state=None):
    """Largest difference per answer, of the weights in the folder or of a state in their place."""
    card = run_card(folder)
    if state is not None:
        card["model"].load_state_dict({name: torch.tensor(values) for name, values in state.items()})
    cells, texts, whole, said = expected(folder)
    pixels = numpy.rint(cells["0/pixels"] * 255).astype(numpy.uint8).transpose(0, 2, 3, 1)
    views = [Image.fromarray(view) for view in pixels]
    embedded = numpy.concatenate([card["embed_cells"](views[i : i + 64]) for i in range(0, len(views), 64)])
    worst = {"cells": difference(embedded, cells["0/image_embedding"])}
    worst["texts"] = difference(card["embed_texts"](said), texts["0/text_embedding"])
    worst["zero-shot"] = zero_shot_difference(card, embedded, whole)
    return len(views), worst


def main():
    given = [pathlib.Path(a) for a in sys.argv[1:]]
    folders = sorted({p.parent for g in given for name in CONFIGS for p in g.rglob(name)})
    if not folders:
        sys.exit(__doc__)
    failed = False
    for folder in folders:
        n, worst = check(folder)
        print(f"{folder}: {n} cells, " + ", ".join(f"{name} {value:.1e}" for name, value in worst.items()))
        failed |= not all(value <= TOLERANCE for value in worst.values())
        other = folder.with_name(folder.name.replace("open-clip", "safetensors"))
        if (other / "weights.safetensors").is_file():
            _, worst = check(folder, as_open_clip(other))
            print(f"{other}: {n} cells, " + ", ".join(f"{name} {value:.1e}" for name, value in worst.items()))
            failed |= not all(value <= TOLERANCE for value in worst.values())
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
