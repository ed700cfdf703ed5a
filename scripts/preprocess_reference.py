"""Pixels that the reference libraries show to published encoders, for crates/wbc-data/tests/published_pixels.rs.

usage: python3 scripts/preprocess_reference.py FOLDER [DATA]     writes FOLDER/preprocess (100 MB), read through
                                                                 WBC_CLIP_REFERENCE=FOLDER; photographs are those of
                                                                 DATA/bccd/images
       python3 scripts/preprocess_reference.py --golden FOLDER   writes the small golden files that are checked in:
                                                                 FOLDER = crates/wbc-data/tests/golden/preprocess
needs: open_clip_torch, transformers, timm, torchvision, Pillow, numpy
made with: open_clip_torch 3.3.0, transformers 5.24.0, timm 1.0.31, torchvision 0.24.0, torch 2.9.0, Pillow 13.0.0

Of every image there is the image itself and one PNG with the results of all configurations, below one another."""
import json
import pathlib
import sys

import numpy as np
from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict
from PIL import Image
from timm.data import create_transform, resolve_data_config
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

PROCESSORS = {p.__name__.removesuffix("Pil"): p
              for p in [BitImageProcessorPil, CLIPImageProcessorPil, ConvNextImageProcessorPil, ViTImageProcessorPil]}
# width, height
SIZES = [(360, 363), (575, 575), (100, 100), (224, 224), (225, 224), (223, 300), (640, 480), (1920, 1080), (1000, 50), (50, 1000),
         (33, 77), (7, 5), (3, 4), (2, 300), (301, 2), (512, 512), (448, 449), (256, 257), (719, 1280), (2047, 1365)]
SMALL_SIZES = [(64, 64), (61, 37), (23, 64), (9, 5), (64, 4), (40, 41)]


def configs(s):
    """What each library's file says, for views of about s px."""
    open_clip = [{"size": s}, {"size": s, "interpolation": "bilinear", "mean": [0.5] * 3, "std": [0.5] * 3},
                 {"size": [s, s], "resize_mode": "squash"}, {"size": s, "resize_mode": "longest", "fill_color": 114},
                 {"size": s + 1, "resize_mode": "longest", "interpolation": "bilinear"}]
    clip = {"image_processor_type": "CLIPImageProcessor", "resample": 3}
    transformers = [clip | {"size": {"shortest_edge": s}, "crop_size": {"height": s, "width": s}},
                    clip | {"size": {"shortest_edge": s + 7}, "crop_size": {"height": s, "width": s}, "resample": 2},
                    clip | {"size": {"shortest_edge": s}, "crop_size": {"height": s + 5, "width": s + 5}},
                    {"image_processor_type": "ViTImageProcessor", "size": {"height": s, "width": s}},
                    {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": s + s // 7},
                     "crop_size": {"height": s, "width": s}, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]},
                    {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": s}, "crop_pct": 0.875, "resample": 3}]
    timm = [{"input_size": [3, s, s], "crop_pct": 0.9, "interpolation": "bicubic"},
            {"input_size": [3, s, s], "interpolation": "bilinear", "mean": [0.498] * 3, "std": [0.502] * 3},
            {"input_size": [3, s, s], "crop_pct": 0.95, "crop_mode": "squash"},
            {"input_size": [3, s, s], "crop_pct": 1.0, "crop_mode": "border"}]
    return ([{"library": "open_clip", "config": {"preprocess_cfg": c}} for c in open_clip]
            + [{"library": "transformers", "config": c} for c in transformers]
            + [{"library": "timm", "config": {"pretrained_cfg": c}} for c in timm])


def applied(entry, image):
    """The pixels as numbers of 8 bits, and normalised, [3, side, side]."""
    config = entry["config"]
    if entry["library"] == "open_clip":
        cfg = PreprocessCfg(**merge_preprocess_dict(PreprocessCfg(), config["preprocess_cfg"]))
        transform = image_transform_v2(cfg, is_train=False)
        pixels = image
        for step in transform.transforms[:-2]:
            pixels = step(pixels)
        return np.asarray(pixels), transform(image).numpy()
    if entry["library"] == "timm":
        resolved = resolve_data_config(pretrained_cfg=config["pretrained_cfg"])
        pixels = create_transform(**resolved, normalize=False)(image).numpy().transpose(1, 2, 0)
        return pixels, create_transform(**resolved)(image).numpy()
    made = PROCESSORS[config["image_processor_type"]](**{k: v for k, v in config.items() if k != "image_processor_type"})
    pixels = made(image, do_rescale=False, do_normalize=False)["pixel_values"][0]
    return np.asarray(pixels).astype(np.uint8).transpose(1, 2, 0), np.asarray(made(image)["pixel_values"][0])


def painted(rng, width, height):
    """Cells as a painter sees them: smooth ground, round things with edges, fine grain."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    scale = max(8.0, min(width, height))
    canvas = np.empty((height, width, 3))
    for c, (level, slope) in enumerate([(225, 20), (205, -25), (215, 15)]):
        canvas[..., c] = level + slope * np.sin(x / scale * 2 + c) * np.cos(y / scale * 3)
    for _ in range(12):
        cx, cy, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.05, 0.4) * scale
        inside = (x - cx) ** 2 + (y - cy) ** 2 < r * r
        canvas[inside] = rng.uniform(40, 230, 3)
    return Image.fromarray(np.clip(canvas + rng.normal(0, 6, canvas.shape), 0, 255).astype(np.uint8))


def photographed(rng, files, width, height):
    """A part of as many photographs side by side as are needed."""
    tiles = [Image.open(files[i]).convert("RGB") for i in rng.integers(0, len(files), 16)]
    w, h = tiles[0].size
    wall = Image.new("RGB", (4 * w, 4 * h))
    for i, tile in enumerate(tiles):
        wall.paste(tile, (i % 4 * w, i // 4 * h))
    left, top = (int(rng.integers(0, n + 1)) for n in (wall.width - width, wall.height - height))
    return wall.crop((left, top, left + width, top + height))


def write(folder, images, entries):
    folder.mkdir(parents=True, exist_ok=True)
    listed = []
    for name, image in images:
        image.save(folder / f"{name}.png")
        results = [applied(e, image) for e in entries]
        sheet = np.zeros((sum(p.shape[0] for p, _ in results), max(p.shape[1] for p, _ in results), 3), np.uint8)
        top = 0
        for pixels, _ in results:
            sheet[top:top + pixels.shape[0], :pixels.shape[1]] = pixels
            top += pixels.shape[0]
        Image.fromarray(sheet).save(folder / f"{name}.expected.png")
        # of the normalised values, the middle pixel and the mean of each channel
        middle = [n[:, n.shape[1] // 2, n.shape[2] // 2].tolist() for _, n in results]
        mean = [n.astype(np.float64).mean((1, 2)).tolist() for _, n in results]
        listed.append({"name": name, "middle": middle, "mean": mean})
    document = {"entries": entries, "images": listed}
    (folder / "cases.json").write_text(json.dumps(document) + "\n")


def main():
    rng = np.random.default_rng(6)
    if sys.argv[1] == "--golden":
        images = [(f"painted-{w}x{h}", painted(rng, w, h)) for w, h in SMALL_SIZES]
        return write(pathlib.Path(sys.argv[2]), images, configs(20))
    images = [(f"painted-{w}x{h}", painted(rng, w, h)) for w, h in SIZES]
    if len(sys.argv) > 2:
        files = sorted((pathlib.Path(sys.argv[2]) / "bccd/images").glob("*.jpg"))
        images += [(f"photo-{w}x{h}", photographed(rng, files, w, h)) for w, h in SIZES]
    write(pathlib.Path(sys.argv[1]) / "preprocess", images, configs(224))


main()
