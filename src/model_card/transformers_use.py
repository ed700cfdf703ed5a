import json, pathlib, tomllib
import numpy as np, torch
from transformers import AutoTokenizer, CLIPImageProcessor, CLIPModel

folder = pathlib.Path(".").resolve()  # where the files of this export are
model = CLIPModel.from_pretrained(folder).eval()
preprocess = CLIPImageProcessor.from_pretrained(folder)
tokenizer = AutoTokenizer.from_pretrained(folder)
about = json.loads((folder / "config.json").read_text(encoding="utf-8"))["wbc_clip"]
prompts = tomllib.loads((folder / "prompts.toml").read_text(encoding="utf-8"))

def unit(vectors):
    return torch.nn.functional.normalize(vectors, dim=-1).numpy()

@torch.no_grad()
def embed_cells(views):
    """Unit vectors [n, embed_dim] of PIL images."""
    pixels = preprocess(images=views, return_tensors="pt").pixel_values
    return unit(model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output))

@torch.no_grad()
def embed_texts(texts):
    """Unit vectors [n, embed_dim]."""
    tokens = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    return unit(model.text_projection(model.text_model(**tokens).pooler_output))
