#!/usr/bin/env python3
"""The same work in PyTorch and here, in turns, in CPU seconds per step of one thread, and the ratios.

    python scripts/bench_peers.py --ours PROGRAM [--devices flex,libtorch] [--rounds 3]

PROGRAM is the bench `peers` (`cargo bench --bench peers --no-run` prints where it is). Needs torch==2.9.0, timm==1.0.31
and open_clip_torch==3.3.0. The image tower is timm's VisionTransformer without a class token and with mean pooling, the text tower
open_clip's TextTransformer, both with open_clip's QuickGELU: what `benches/peers.rs` builds, at the same sizes. The text
tower of open_clip masks causally where ours masks by clause; both add a mask of the same size.

Every round runs PyTorch with eager attention, PyTorch with fused attention, then ours, each in a process of its own; the
figures are medians over rounds. CPU seconds are user plus system time of all threads of the process.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time

from machine import cpu_name, first_line

BATCH, WARM_UP = 32, 2
STEPS = {"vit-tiny": {"image": 12, "forward": 8, "train": 5}, "default": {"image": 60, "forward": 40, "train": 20}}


def towers(model):
    """Image tower, text tower and length of a text."""
    from open_clip.transformer import QuickGELU, TextTransformer
    from timm.models.vision_transformer import VisionTransformer

    width, depth, heads, dim = {"vit-tiny": (192, 12, 3, 256), "default": (128, 4, 4, 128)}[model]
    image = VisionTransformer(
        img_size=112, patch_size=16, embed_dim=width, depth=depth, num_heads=heads, num_classes=dim, class_token=False,
        global_pool="avg", fc_norm=False, act_layer=QuickGELU)
    width, depth, heads, length, vocab = {"vit-tiny": (256, 4, 4, 32, 4096), "default": (128, 2, 4, 64, 512)}[model]
    text = TextTransformer(
        context_length=length, vocab_size=vocab, width=width, heads=heads, layers=depth, output_dim=dim,
        act_layer=QuickGELU)
    return image, text, length, vocab


def peer(model, task, attention, steps):
    """One task in PyTorch, in this process; prints a line of JSON."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import cross_entropy, normalize

    torch.set_num_threads(1)
    torch.manual_seed(7)
    # without it `nn.MultiheadAttention` (open_clip's text tower) takes one fused kernel in inference, eager or not
    torch.backends.mha.set_fastpath_enabled(attention != "eager")
    image_tower, text_tower, length, vocab = towers(model)
    both = torch.nn.ModuleList([image_tower, text_tower])
    scale = torch.nn.Parameter(torch.tensor(2.659))
    pixels = torch.rand(BATCH, 3, 112, 112)
    texts = torch.randint(1, vocab, (BATCH, length))
    optimiser = torch.optim.AdamW([*both.parameters(), scale], lr=1e-4, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.05)
    target = torch.arange(BATCH)

    def embed():
        # ours takes pixels in 0..1 and scales them itself
        return normalize(image_tower(pixels * 2 - 1)), normalize(text_tower(texts))

    def step():
        if task == "image":
            image_tower(pixels * 2 - 1)
        elif task == "forward":
            embed()
        else:
            image, text = embed()
            cosine = image @ text.T * scale.exp()
            loss = (cross_entropy(cosine, target) + cross_entropy(cosine.T, target)) / 2
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    both.train(task == "train")
    kernels = [SDPBackend.MATH] if attention == "eager" else [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]
    with sdpa_kernel(kernels), torch.inference_mode(task != "train"):
        for _ in range(WARM_UP):
            step()
        wall, before = time.perf_counter(), os.times()
        for _ in range(steps):
            step()
        after = os.times()
    print(json.dumps({
        "device": f"PyTorch, {attention}", "model": model, "task": task, "steps": steps,
        "n_params": sum(p.numel() for p in both.parameters()), "user_secs": (after.user - before.user) / steps,
        "system_secs": (after.system - before.system) / steps, "wall_secs": (time.perf_counter() - wall) / steps}))


def run(command):
    one_thread = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(command, env={**os.environ, **one_thread}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{command[0]}: {done.stderr.strip() or done.returncode}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", help="the bench `peers`, built")
    parser.add_argument("--devices", default="flex", help="ours, separated by commas")
    parser.add_argument("--models", default="vit-tiny,default")
    parser.add_argument("--tasks", default="image,forward,train")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", nargs=4, metavar=("MODEL", "TASK", "ATTENTION", "STEPS"), help="for its own use")
    args = parser.parse_args()
    if args.peer:
        model, task, attention, steps = args.peer
        return peer(model, task, attention, int(steps))
    if not args.ours:
        parser.error("--ours is needed")
    import open_clip
    import timm
    import torch

    commit = first_line(["git", "-C", os.path.dirname(os.path.abspath(__file__)), "rev-parse", "--short", "HEAD"])
    print(f"{datetime.date.today()}, commit {commit}, {first_line(['rustc', '--version'])}, {args.ours}")
    print(f"torch {torch.__version__}, timm {timm.__version__}, open_clip {open_clip.__version__}, "
          f"Python {platform.python_version()}")
    print(f"{cpu_name()}, {os.cpu_count()} cores, {platform.platform()}, load {os.getloadavg()[0]:.1f}")
    print(f"batch {BATCH}, one thread each, medians of {args.rounds} alternating rounds, CPU seconds per step\n")
    print("| model | task | program | user + system | of which system | / eager | / fused |")
    print("|---|---|---|---|---|---|---|")
    for model in args.models.split(","):
        for task in args.tasks.split(","):
            steps = str(STEPS[model][task])
            peers = [[sys.executable, __file__, "--peer", model, task, kind, steps] for kind in ("eager", "fused")]
            programs = [*peers, *([args.ours, device, model, task, steps] for device in args.devices.split(","))]
            rounds = [[run(program) for program in programs] for _ in range(args.rounds)]
            seconds = []
            for at in range(len(programs)):
                each = [measured[at] for measured in rounds]
                total = statistics.median(m["user_secs"] + m["system_secs"] for m in each)
                seconds.append((each[0]["device"], total, statistics.median(m["system_secs"] for m in each)))
            for name, total, system in seconds:
                ratios = " | ".join(f"{total / seconds[at][1]:.2f}" for at in (0, 1))
                print(f"| {model} | {task} | {name} | {total:.4f} | {system:.4f} | {ratios} |", flush=True)
    return None


if __name__ == "__main__":
    main()
