"""Compares ONNX models in onnxruntime with what the Rust side answers.

usage: python3 scripts/check_onnx.py FOLDER...
needs: onnx 1.23.2, onnxruntime 1.32.0, safetensors 0.8.0, numpy (versions that the figures were made with)

A FOLDER holds NAME.onnx with NAME.safetensors beside it: inputs and outputs of some batches, named BATCH/TENSOR. They are
written by

    WBC_CLIP_REFERENCE_OUT=FOLDER cargo test --workspace --test onnx

Every model must pass onnx.checker, and every output must be within TOLERANCE. Exits with 1 where one is not."""
import collections
import pathlib
import sys

import numpy
import onnx
import onnxruntime
from safetensors.numpy import load_file

# float32 sums in another order: about 1e-6 per layer for values near 1
TOLERANCE = 1e-4


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def check(path):
    """Largest difference per output over all batches."""
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
            worst[name] = max(worst[name], float(numpy.abs(answer - tensors[name]).max()))
    return len(batches), worst


def main():
    paths = [p for folder in sys.argv[1:] for p in sorted(pathlib.Path(folder).glob("*.onnx"))]
    if not paths:
        sys.exit(__doc__)
    failed = False
    for path in paths:
        n, worst = check(path)
        print(f"{path}: {n} batches, " + ", ".join(f"{name} {value:.1e}" for name, value in worst.items()))
        failed |= not all(value <= TOLERANCE for value in worst.values())
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
