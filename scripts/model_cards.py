"""What check_onnx.py and check_clip.py share: the Python code of an export's model card, and answers to compare with."""
import json
import os
import re

import numpy
from safetensors.numpy import load_file


def difference(a, b):
    return float(numpy.abs(a - b).max())


def run_card(folder):
    """Names that the card's code defines, run where it says it is to be run."""
    code = re.search(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL).group(1)
    card, before = {}, os.getcwd()
    os.chdir(folder)
    try:
        exec(compile(code, str(folder / "README.md"), "exec"), card)
    finally:
        os.chdir(before)
    return card


def expected(folder):
    """Answers of the Rust side: of cells, of texts, of both together, and the texts."""
    answers = (load_file(folder / f"{name}.safetensors") for name in ("image", "text", "whole"))
    return *answers, json.loads((folder / "texts.json").read_text(encoding="utf-8"))


def zero_shot_difference(card, embedded, whole):
    """Largest difference of probabilities; every cell must get the same class."""
    worst = 0.0
    for name in (s["name"] for s in card["prompts"]["sets"]):
        _, probabilities = card["zero_shot"](embedded, name)
        worst = max(worst, difference(probabilities, whole[f"zero_shot/{name}"]))
        assert (probabilities.argmax(axis=1) == whole[f"zero_shot/{name}"].argmax(axis=1)).all(), name
    return worst
