"""Compares ONNX models in onnxruntime with what the Rust side answers.

usage: python3 scripts/check_onnx.py FOLDER...
needs: onnx 1.23.2, onnxruntime 1.32.0, safetensors 0.8.0, numpy (versions that the figures were made with)

A FOLDER holds NAME.onnx with NAME.safetensors beside it: inputs and outputs of some batches, named BATCH/TENSOR. They are
written by

    WBC_CLIP_REFERENCE_OUT=FOLDER cargo test --workspace --test onnx --test export

of which the second writes whole exports, FOLDER/run-*. There the Python code of the model card is run, too: it must make
the same token ids, measurements and zero-shot probabilities. Every model must pass onnx.checker, and every output must be
within TOLERANCE, or within that share of its largest number where this is above 1, as in embeddings before they are
brought to unit length; a batch of nothing is answered with nothing. Exits with 1 where one is not."""
import collections
import pathlib
import sys

import numpy
import onnx
import onnxruntime
from safetensors.numpy import load_file

from model_cards import difference, expected, run_card, zero_shot_difference

# float32 sums in another order: about 1e-6 per layer for values near 1
TOLERANCE = 1e-4


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def check(path):
    """Largest difference per output over all batches, as a share of the largest number where this is above 1."""
    onnx.checker.check_model(str(path), full_check=True)
    model = session(path)
    batches = collections.defaultdict(dict)
    for name, tensor in load_file(path.with_suffix(".safetensors")).items():
        batch, tensor_name = name.split("/")
        batches[batch][tensor_name] = tensor
    worst = collections.defaultdict(float)
    for tensors in batches.values():
        inputs = {i.name: tensors.pop(i.name) for i in model.get_inputs()}
        names = [o.name for o in model.get_outputs()]
        assert sorted(names) == sorted(tensors), (names, sorted(tensors))
        for name, answer in zip(names, model.run(names, inputs)):
            assert answer.shape == tensors[name].shape, (name, answer.shape, tensors[name].shape)
            size = max(1.0, float(numpy.abs(tensors[name]).max()))
            worst[name] = max(worst[name], float(numpy.abs(answer - tensors[name]).max()) / size)
    return len(batches), worst


def answers_nothing(path):
    """Whether no cells and no texts are answered with no embeddings."""
    model = session(path)
    kinds = {"tensor(float)": numpy.float32, "tensor(int64)": numpy.int64, "tensor(bool)": numpy.bool_}
    sides = lambda dims: [0 if d == "batch" else d if isinstance(d, int) else 3 for d in dims]
    inputs = {i.name: numpy.zeros(sides(i.shape), kinds[i.type]) for i in model.get_inputs()}
    answers = zip(model.get_outputs(), model.run(None, inputs))
    return all(list(answer.shape) == sides(output.shape) for output, answer in answers)


def check_card(folder):
    """Largest difference per answer of the model card's own code."""
    card = run_card(folder)
    cells, texts, whole, said = expected(folder)
    worst = {}
    tokens = card["tokenizer"].encode_batch(said)
    worst["token ids"] = difference(numpy.array([t.ids for t in tokens]), texts["0/input_ids"])
    worst["texts"] = difference(card["embed_texts"](said), texts["0/text_embedding"])
    inputs = {}
    if "0/pixels" in cells:
        inputs["pixels"] = cells["0/pixels"]
    if "raw" in whole:
        normalised = card["normalise"](whole["raw"], whole["length_scale"])
        for name, value in normalised.items():
            worst[name] = difference(value, cells[f"0/{name}"])
        inputs |= normalised
    embedded = card["embed_cells"](inputs)
    worst["zero-shot"] = zero_shot_difference(card, embedded, whole)
    return worst


def main():
    paths = [p for folder in sys.argv[1:] for p in sorted(pathlib.Path(folder).rglob("*.onnx"))]
    if not paths:
        sys.exit(__doc__)
    failed = False
    for path in paths:
        n, worst = check(path)
        print(f"{path}: {n} batches, " + ", ".join(f"{name} {value:.1e}" for name, value in worst.items()))
        failed |= not all(value <= TOLERANCE for value in worst.values())
        if not answers_nothing(path):
            print(f"{path}: a batch of nothing has an answer of another shape")
            failed = True
    for folder in sorted({p.parent for p in paths if (p.parent / "README.md").is_file()}):
        worst = check_card(folder)
        print(f"{folder}/README.md: " + ", ".join(f"{name} {value:.1e}" for name, value in worst.items()))
        failed |= not all(value <= TOLERANCE for value in worst.values())
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
