#!/usr/bin/env python3
"""Writes captions that language models wrote for the tests of `wbc-caption` as a caption file, to train or to ask with:

    python3 scripts/labelled_captions.py stored > qwen.jsonl     # answers of two Qwen2.5-Coder models, verified
    python3 scripts/labelled_captions.py fluent > fluent.jsonl   # fluent English of other models, the faultless ones

Their cells are nobody's: ids are numbers.
"""

import json
import sys
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "crates/wbc-caption/tests/labelled"


def rows(name):
    """Author, facts, text."""
    for line in (FOLDER / f"{name}.tsv").read_text().splitlines():
        if line.startswith("#"):
            continue
        if name == "stored":
            author, facts, text = line.split("\t")
            if not author.startswith("grammar"):
                yield author, facts, text
        else:
            author, verdict, facts, text = line.split("\t")
            if verdict == "ok":
                yield author, facts, text


def fact(pair):
    name, value = pair.split("=", 1)
    return {"kind": "type", "value": value} if name == "type" else {"kind": "attribute", "name": name, "value": value}


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in ("stored", "fluent"):
        sys.exit(__doc__)
    for i, (author, facts, text) in enumerate(rows(sys.argv[1])):
        record = {
            "version": 2,
            "id": str(i),
            "text": text,
            "facts": [fact(pair) for pair in facts.split("; ")],
            "provenance": {"captioner": author, "register": "report", "seed": 0},
            "outcome": "faithful",
            "index": 0,
        }
        print(json.dumps(record, ensure_ascii=False))


if __name__ == "__main__":
    main()
