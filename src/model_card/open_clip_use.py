import json, pathlib, tomllib
import numpy as np, open_clip, torch

folder = pathlib.Path(".").resolve()  # where the files of this export are
model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
about = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))["wbc_clip"]
prompts = tomllib.loads((folder / "prompts.toml").read_text(encoding="utf-8"))
model.eval()

@torch.no_grad()
def embed_cells(views):
    """Unit vectors [n, embed_dim] of PIL images."""
    return model.encode_image(torch.stack([preprocess(v) for v in views]), normalize=True).numpy()

@torch.no_grad()
def embed_texts(texts):
    """Unit vectors [n, embed_dim]."""
    return model.encode_text(tokenizer(texts), normalize=True).numpy()
