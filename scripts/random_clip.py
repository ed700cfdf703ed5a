"""Writes a small CLIP with random weights as OpenCLIP publishes one, to be trained from the beginning and exported to every
format.

usage: python3 scripts/random_clip.py FOLDER [SEED]
needs: torch 2.9.0, open_clip_torch 3.3.0, safetensors

    python3 scripts/random_clip.py encoders/random-clip.published
    wbc-clip weights import encoders/random-clip.published --out encoders/random-clip
    wbc-clip train configs/wbcatt-clip.toml
"""
import json
import pathlib
import shutil
import sys

import open_clip
import torch
from open_clip.tokenizer import default_bpe
from safetensors.torch import save_file

SIDE, WIDTH = 128, 128
MODEL = {
    "embed_dim": WIDTH,
    "vision_cfg": {"image_size": SIDE, "layers": 4, "width": WIDTH, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 64, "vocab_size": 49408, "width": WIDTH, "heads": 4, "layers": 2},
}
PIXELS = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bicubic", "resize_mode": "squash"}


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True)
    torch.manual_seed(int(sys.argv[2]) if len(sys.argv) == 3 else 0)
    model = open_clip.CLIP(MODEL["embed_dim"], MODEL["vision_cfg"], MODEL["text_cfg"])
    save_file({name: t.contiguous() for name, t in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    config = {"model_cfg": MODEL, "preprocess_cfg": PIXELS}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    shutil.copy(default_bpe(), folder)


if __name__ == "__main__":
    main()
