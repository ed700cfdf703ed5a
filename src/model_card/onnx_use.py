import json, pathlib, tomllib
import numpy as np, onnxruntime, tokenizers

folder = pathlib.Path(".")  # where the files of this export are
image = onnxruntime.InferenceSession(folder / "image.onnx")
text = onnxruntime.InferenceSession(folder / "text.onnx")
about = text.get_modelmeta().custom_metadata_map
tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
tokenizer.enable_padding(pad_id=int(about["pad_token_id"]))
tokenizer.enable_truncation(int(about["max_len"]))  # words are lost, an end token is not
preprocess = json.loads((folder / "preprocess.json").read_text(encoding="utf-8"))
prompts = tomllib.loads((folder / "prompts.toml").read_text(encoding="utf-8"))

def normalise(rows, length_scale):
    """Rows [n, n_measurements] in original units, NaN where undefined; length_scale [n], NaN where not known."""
    statistics = preprocess["statistics"]
    units = [m["unit"] for m in statistics["schema"]["measurements"]]
    power = np.array([{"px": 1, "px2": 2}.get(unit, 0) for unit in units])
    rows = rows * np.where(power == 0, 1.0, np.asarray(length_scale, dtype=float)[:, None] ** power)
    known = np.isfinite(rows)
    values = (rows - np.array(statistics["mean"])) / np.array(statistics["std"])
    values = np.where(known, np.clip(values, -4, 4), 0)  # at most four standard deviations
    return {"measurements": values.astype(np.float32), "measurement_mask": known.astype(np.float32)}

def embed_cells(inputs):
    """Inputs of image.onnx by name; unit vectors [n, embed_dim]."""
    return image.run(["image_embedding"], inputs)[0]

def embed_texts(texts):
    """Unit vectors [n, embed_dim]."""
    tokens = tokenizer.encode_batch(texts)
    inputs = {"input_ids": [t.ids for t in tokens], "attention_mask": [t.attention_mask for t in tokens]}
    return text.run(["text_embedding"], {name: np.array(v, dtype=np.int64) for name, v in inputs.items()})[0]
