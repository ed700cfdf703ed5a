"""Draws pipeline.png from what the command wrote about synthetic cells (Python 3, pillow).

    wbc-clip data export synthetic:test --to cells
    wbc-clip segment cells/manifest.csv --out masks
    wbc-clip measure cells/manifest.csv --out measurements.csv
    wbc-clip caption cells/manifest.csv --captioners configs/captioners.toml --out captions.jsonl
    wbc-clip classify cells/manifest.csv --run RUN --out types.csv
    python docs/pictures/pipeline.py FOLDER_WITH_THESE docs/pictures/pipeline.png
"""

import csv
import json
import sys
import textwrap
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

CELLS = [f"synthetic-test-{n:05}" for n in (22, 16, 8, 24, 10)]  # one of each type
NUMBERS = [
    ("nucleus_fraction", "nucleus / cell area"),
    ("nucleus.contour_solidity", "nucleus solidity"),
    ("nucleus.lobes_at_65", "nucleus lobes"),
    ("cell.equivalent_diameter_area", "cell diameter, px"),
]
SIDE, GAP, TOP, LEFT = 150, 14, 34, 16
MIDDLE = (45, 45, 195, 195)  # of the frame of 240 px
COLUMNS = [LEFT, LEFT + 164, LEFT + 328, LEFT + 540, LEFT + 862]
INK, PALE = (34, 32, 44), (118, 114, 130)


def font(size, bold=False):
    return ImageFont.truetype("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf", size)


def outline(mask, colour, onto):
    """Draws the inner border of a mask."""
    border = ImageChops.subtract(mask, mask.filter(ImageFilter.MinFilter(5)))
    onto.paste(colour, mask=border)


def rows(path):
    with open(path, newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def main(folder, out):
    measured, types = rows(folder / "measurements.csv"), rows(folder / "types.csv")
    captions = {}
    for line in open(folder / "captions.jsonl"):
        record = json.loads(line)
        captions.setdefault(record["id"], []).append(record)

    sheet = Image.new("RGB", (1090, TOP + len(CELLS) * (SIDE + GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    for x, title in zip(COLUMNS, ["image", "segmented", "measured", "captioned", "recognised by its words"]):
        draw.text((x, 9), title, INK, font(14, bold=True))
    for row, name in enumerate(CELLS):
        y = TOP + row * (SIDE + GAP)
        image = Image.open(folder / f"cells/images/{name}.png").convert("RGB").crop(MIDDLE)
        mask = Image.open(folder / f"masks/{name}.png").crop(MIDDLE)
        box = image.resize((SIDE, SIDE), Image.LANCZOS)
        sheet.paste(box, (COLUMNS[0], y))
        shown = image.resize((2 * SIDE, 2 * SIDE), Image.LANCZOS)
        mask = mask.resize(shown.size, Image.NEAREST)
        outline(mask.point(lambda v: 255 if v > 0 else 0), (0, 150, 90), shown)
        outline(mask.point(lambda v: 255 if v > 200 else 0), (255, 205, 0), shown)
        sheet.paste(shown.resize((SIDE, SIDE), Image.LANCZOS), (COLUMNS[1], y))
        for i, (key, title) in enumerate(NUMBERS):
            draw.text((COLUMNS[2], y + 2 + i * 36), title, PALE, font(11))
            draw.text((COLUMNS[2], y + 15 + i * 36), f"{float(measured[name][key]):.2f}", INK, font(14, bold=True))
        text = min((c["text"] for c in captions[name] if len(c["facts"]) >= 4), key=len)
        for i, line in enumerate(textwrap.wrap(text, 42)[:7]):
            draw.text((COLUMNS[3], y + 2 + i * 20), line, INK, font(13))
        guess = types[name]
        draw.text((COLUMNS[4], y + 2), guess["type"], INK, font(15, bold=True))
        draw.text((COLUMNS[4], y + 22), f"probability {float(guess['probability']):.2f}", PALE, font(11))
        for i, attribute in enumerate(["nucleus_shape", "granule_colour", "cytoplasm_colour"]):
            draw.text((COLUMNS[4], y + 44 + i * 34), attribute.replace("_", " "), PALE, font(11))
            value = f"{guess[attribute]} ({float(guess[attribute + '.probability']):.2f})"
            draw.text((COLUMNS[4], y + 57 + i * 34), value, INK, font(12))
    sheet.quantize(256, dither=Image.Dither.NONE).save(out, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
