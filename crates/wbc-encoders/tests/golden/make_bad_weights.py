#!/usr/bin/env python3
"""Writes bad_weights/*: checkpoints that would run a command if Python loaded them. Nothing here loads them.

usage: python make_bad_weights.py bad_weights
made with: torch 2.9.0, CPython 3.11

The command is `touch /tmp/wbc-clip-was-run`, which tests/bad_weights.rs looks for."""
import collections
import io
import os
import pickle
import sys
import zipfile

import torch

COMMAND = 'touch /tmp/wbc-clip-was-run'


class Command:
    """Whoever unpickles it runs the command."""

    def __reduce__(self):
        return os.system, (COMMAND,)


class Evaluated:
    def __reduce__(self):
        return eval, (f"__import__('os').system('{COMMAND}')",)


def state():
    torch.manual_seed(1)
    return collections.OrderedDict(weight=torch.randn(2, 3), bias=torch.zeros(2))


def rewritten(path, change):
    """The archive at `path` with its data.pkl changed."""
    with zipfile.ZipFile(path) as z:
        entries = [(i, z.read(i)) for i in z.infolist()]
    with zipfile.ZipFile(path, 'w') as z:
        for info, data in entries:
            z.writestr(info.filename, change(data) if info.filename.endswith('data.pkl') else data)


def main(out):
    os.makedirs(out, exist_ok=True)
    at = lambda name: f'{out}/{name}'
    torch.save(Command(), at('code.pth'))
    torch.save({'state_dict': state(), 'extra': Command()}, at('code-beside-weights.pth'))
    torch.save({'state_dict': state(), 'extra': Evaluated()}, at('eval-beside-weights.pth'))
    torch.save({'state_dict': state(), 'extra': Command()}, at('code-legacy.bin'), _use_new_zipfile_serialization=False)
    torch.save({'state_dict': state(), 'extra': Command()}, at('code-protocol4.pt'), pickle_protocol=4)
    torch.save(torch.nn.Sequential(torch.nn.Linear(2, 2)), at('whole-module.pth'))
    with open(at('code.pkl'), 'wb') as f:
        pickle.dump(Command(), f, protocol=2)

    # called, dropped from the stack, then the proper content: nothing of it is left in the result
    call = b'cposix\nsystem\nX' + len(COMMAND).to_bytes(4, 'little') + COMMAND.encode() + b'\x85R0'
    torch.save(state(), at('code-dropped.pth'))
    rewritten(at('code-dropped.pth'), lambda data: data[:2] + call + data[2:])
    # INST: names and calls in one instruction
    torch.save(state(), at('code-inst.pth'))
    inst = b'(S' + repr(COMMAND).encode() + b'\niposix\nsystem\n0'
    rewritten(at('code-inst.pth'), lambda data: data[:2] + inst + data[2:])
    # module and name from the memo, past an allowed name
    torch.save(state(), at('code-memo.pth'))
    memo = (b'\x8c\x05posixr\x00\x00\x01\x000\x8c\x06systemr\x01\x00\x01\x000'
            b'j\x00\x00\x01\x00j\x01\x00\x01\x00\x930')
    rewritten(at('code-memo.pth'), lambda data: data[:2] + memo + data[2:])
    # a name that only the running pickle knows: the texts of a tuple, dropped one by one
    torch.save(state(), at('code-computed.pth'))
    computed = b'\x8c\x05posix\x8c\x06systemN0\x930'
    rewritten(at('code-computed.pth'), lambda data: data[:2] + computed + data[2:])
    torch.save(state(), at('extension.pth'))
    rewritten(at('extension.pth'), lambda data: data[:2] + b'\x82\x010' + data[2:])

    # an archive whose pickle unpacks to 32 MB, and a tensor that repeats one number 2^32 times
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', zipfile.ZIP_DEFLATED) as z:
        z.writestr('a/data.pkl', b'\x80\x02' + b'N0' * (16 << 20) + b'}.')
        z.writestr('a/version', b'3\n')
    with open(at('bomb.pth'), 'wb') as f:
        f.write(buffer.getvalue())
    torch.save({'weight': torch.zeros(1).expand(1 << 28)}, at('repeated.pth'))
    torch.save({'conv1.weight': torch.zeros(4, dtype=torch.int64)}, at('integers.pth'))
    torch.save({'conv1.weight': torch.tensor([1.0, float('inf')])}, at('infinite.pth'))


if __name__ == '__main__':
    main(sys.argv[1])
