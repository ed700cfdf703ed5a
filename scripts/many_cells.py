"""Prints a manifest of N cells that repeat the annotations of WBCAtt's training cells, to time `wbc-clip caption`.

    WBC_CLIP_DATA=... python3 scripts/many_cells.py 1000000 > cells.csv

Captioning opens no image, so the paths lead nowhere.
"""

import csv
import itertools
import os
import pathlib
import sys

table = pathlib.Path(os.environ["WBC_CLIP_DATA"]) / "wbcatt" / "pbc_attr_v1_train.csv"
rows = list(csv.DictReader(table.open()))
attributes = [name for name in rows[0] if name not in ("path", "img_name", "label")]
out = csv.writer(sys.stdout, lineterminator="\n")
out.writerow(["path", "id", "label", *attributes])
for i, row in zip(range(int(sys.argv[1])), itertools.cycle(rows)):
    out.writerow([f"images/{i:08}.jpg", f"{i:08}", row["label"], *(row[a] for a in attributes)])
