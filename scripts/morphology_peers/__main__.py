"""What bench_morphology.py times: each group of measurements by the libraries that have it, or nearly.

Runs in the virtual environment of bench_morphology.py and prints JSON. A function takes a `Cell` (image and masks, nothing
else) and returns all values of a group; its docstring, if any, tells how they differ from ours. Where ours scales a cell,
so do these, since that is quicker; where ours crops, these do, too.
"""

import argparse
import csv
import json
import os
import sys
import time

import cv2
import numpy as np
from skimage import io

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import segmentation_baselines as baselines
from cell import GROUPS, Cell

for module in ("shape", "colour", "texture"):
    __import__(module)  # fills GROUPS

DECODE = {
    "OpenCV": lambda cell: cv2.cvtColor(cv2.imread(cell.path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB),
    "scikit-image": lambda cell: io.imread(cell.path),
}
SEGMENT = {
    "multi-Otsu": lambda cell: baselines.by_multi_otsu(cell.rgb, baselines.nucleus(cell.rgb)),
    "watershed": lambda cell: baselines.by_watershed(cell.rgb, baselines.nucleus(cell.rgb)),
    "GrabCut": lambda cell: baselines.by_grabcut(cell.rgb, baselines.nucleus(cell.rgb)),
}


def read_cells(data, masks, per_type):
    with open(os.path.join(data, "wbcatt", "pbc_attr_v1_val.csv"), encoding="utf-8") as table:
        rows = sorted(csv.DictReader(table), key=lambda row: os.path.splitext(row["img_name"])[0])
    cells, seen = [], {}
    for row in rows:
        seen[row["label"]] = seen.get(row["label"], 0) + 1
        if seen[row["label"]] > per_type:
            continue
        path = os.path.join(data, "pbc", row["path"])
        mask = cv2.imread(os.path.join(masks, os.path.splitext(row["img_name"])[0] + ".png"), cv2.IMREAD_GRAYSCALE)
        rgb = cv2.cvtColor(cv2.imread(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        cells.append(Cell(path, rgb, (mask == 255).astype(np.uint8), (mask > 0).astype(np.uint8)))
    return cells


def milliseconds(function, cells, args):
    """Median over passes of the mean CPU time per cell."""
    function(cells[0])
    passes, begun = [], time.perf_counter()
    while not passes or len(passes) < args.passes and time.perf_counter() - begun < args.pass_secs:
        before = time.process_time()
        for cell in cells:
            function(cell)
        passes.append(1e3 * (time.process_time() - before) / len(cells))
    return float(np.median(passes))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--masks", required=True)
    parser.add_argument("--cells-per-type", type=int, required=True)
    parser.add_argument("--passes", type=int, required=True)
    parser.add_argument("--pass-secs", type=float, required=True)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    cells = read_cells(args.data, args.masks, args.cells_per_type)
    timed = lambda functions: {name: milliseconds(f, cells, args) for name, f in functions.items()}
    groups = {
        name: {library: {"ms": milliseconds(f, cells, args), "values": len(f(cells[0])), "less": less}
               for library, (f, less) in functions.items()}
        for name, (_, functions) in GROUPS.items()}
    json.dump({"cells": len(cells), "groups": groups, "ours_values": {name: n for name, (n, _) in GROUPS.items()},
               "whole": {"decode": timed(DECODE), "segment": timed(SEGMENT)}}, sys.stdout)


if __name__ == "__main__":
    main()
