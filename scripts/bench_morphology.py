#!/usr/bin/env python3
"""Speed of wbc-morphology beside OpenCV, mahotas, scikit-image, scipy and numpy, group by group, on the same cells.

    wbc-clip segment wbcatt:val --out MASKS
    cargo bench -p wbc-morphology --bench measurement --no-run     # prints where PROGRAM is
    python scripts/bench_morphology.py --data DATA --masks MASKS --ours PROGRAM --venv VENV [--rounds 3]

DATA is the folder of WBC_CLIP_DATA, MASKS that of the masks. VENV is made, with the libraries in the versions below, where
it does not exist. The cells are the first eight of each type of WBCAtt's validation split, as in `benches/measurement.rs`.

Every round runs ours, then all libraries, each side in a process of its own with one thread. Figures are milliseconds of
CPU time per cell: median over passes of the mean over all cells, then median over rounds. Either side starts from the
image and the two masks and does for a group all that the group needs, so that what several groups share counts in each.

For every group there is the nearest equal computation that each library has; `values` tells how many numbers come out,
"less" that not all of ours are among them, or not normalised by the stain where ours are.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import venv

from machine import cpu_name, first_line

PINNED = {"numpy": "2.4.6", "scipy": "1.17.1", "scikit-image": "0.26.0", "mahotas": "1.4.19",
          "opencv-python-headless": "5.0.0.93"}
CELLS_PER_TYPE = 8
# Ours, the most accurate and the fast one.
SEGMENTERS = ("vote", "threshold")
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1",
               "PYTHONDONTWRITEBYTECODE": "1"}
# Passes over the cells: at most so many, and none is begun after so many seconds.
PASSES, PASS_SECS = 7, 0.5


def python_of(folder):
    """The interpreter of a virtual environment that has the libraries."""
    python = os.path.join(folder, "Scripts" if os.name == "nt" else "bin", "python")
    if not os.path.exists(python):
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *(f"{n}=={v}" for n, v in PINNED.items())], check=True)
    check = "import sys, importlib.metadata as m; print(*(f'{n}=={m.version(n)}' for n in sys.argv[1:]), sep='\\n')"
    found = subprocess.run([python, "-c", check, *PINNED], capture_output=True, text=True, check=True).stdout.split()
    wanted = [f"{n}=={v}" for n, v in PINNED.items()]
    if found != wanted:
        sys.exit(f"{folder} has {found}, not {wanted}")
    return python


def libraries(python, args):
    """Milliseconds and number of values by group and library."""
    command = [python, os.path.join(os.path.dirname(os.path.abspath(__file__)), "morphology_peers"),
               "--data", args.data, "--masks", args.masks, "--cells-per-type", str(CELLS_PER_TYPE),
               "--passes", str(PASSES), "--pass-secs", str(PASS_SECS)]
    done = subprocess.run(command, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def ours(args, home):
    """Milliseconds by benchmark, as criterion stored them."""
    env = {**os.environ, **ENVIRONMENT, "WBC_CLIP_DATA": os.path.abspath(args.data), "CRITERION_HOME": home}
    done = subprocess.run([args.ours, "--bench", "--noplot", "(groups|whole)/"], env=env, capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        sys.exit(done.stderr)
    found = {}
    for folder, _, files in os.walk(home):
        if os.path.basename(folder) == "new" and "estimates.json" in files:
            about = json.load(open(os.path.join(folder, "benchmark.json"), encoding="utf-8"))
            estimates = json.load(open(os.path.join(folder, "estimates.json"), encoding="utf-8"))
            n_cells = about["throughput"]["Elements"]
            found[about["full_id"]] = estimates["median"]["point_estimate"] / 1e6 / n_cells
    return found


def show(mine, theirs, counts):
    """The table, and the totals: `mine` by benchmark, `theirs` by group and library, milliseconds."""
    print("| group | ours, ms (values) | fastest library, ms (values) | library / ours | others, ms (values) |")
    print("|---|---|---|---|---|")
    fastest, plain, quicker = 0.0, 0.0, []
    for group, by_library in theirs["groups"].items():
        # those that compute the same first, then those that compute less
        ordered = sorted(by_library.items(), key=lambda item: (item[1]["less"], item[1]["ms"]))
        cell = lambda item: f"{item[0]} {item[1]['ms']:.3f} ({item[1]['values']}{', less' if item[1]['less'] else ''})"
        own, best = mine[f"groups/{group}"], ordered[0][1]["ms"]
        fastest += best
        # scikit-image where it has the group, else the fastest
        plain += next((of["ms"] for name, of in ordered if name.startswith("scikit-image")), best)
        quicker += [f"{cell(item)} for `{group}` {own:.3f}" for item in ordered if item[1]["ms"] < own]
        others = ", ".join(map(cell, ordered[1:])) or "none"
        print(f"| `{group}` | {own:.3f} ({counts[group]}) | {cell(ordered[0])} | {best / own:.1f} | {others} |")
    alone = sum(mine[f"groups/{group}"] for group in theirs["groups"])
    for what, own in (("all groups, each alone", alone), ("all groups at once", mine["whole/measure"])):
        print(f"| {what} | {own:.2f} | fastest of each {fastest:.2f} | {fastest / own:.1f} | scikit-image {plain:.2f} |")
    for what, step, mine_of in (("decode JPEG", "decode", "decode"), *(
            (f"segment ({s})", "segment", f"segment/{s}") for s in SEGMENTERS)):
        own, ordered = mine[f"whole/{mine_of}"], sorted(theirs["whole"][step].items(), key=lambda item: item[1])
        others = ", ".join(f"{name} {ms:.2f}" for name, ms in ordered[1:])
        name, ms = ordered[0]
        print(f"| {what} | {own:.2f} | {name} {ms:.2f} | {ms / own:.1f} | {others} |")
    decode = theirs["whole"]["decode"]
    for segmenter in SEGMENTERS:
        own = mine[f"whole/image/{segmenter}"]
        for name, ms in theirs["whole"]["segment"].items():
            fast, slow = min(decode.values()) + ms + fastest, decode["scikit-image"] + ms + plain
            print(f"| whole image, {segmenter} beside {name} | {own:.2f} | {fast:.2f} | {fast / own:.1f} | "
                  f"scikit-image {slow:.2f}, {slow / own:.1f} times ours |")
    print("\nFaster than ours: " + ("; ".join(quicker) or "none"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with the datasets, as WBC_CLIP_DATA")
    parser.add_argument("--masks", required=True, help="folder with `<id>.png` from `wbc-clip segment`")
    parser.add_argument("--ours", required=True, help="the bench `measurement`, built")
    parser.add_argument("--venv", required=True, help="virtual environment, made where it does not exist")
    parser.add_argument("--criterion-home", default="target/bench-morphology", help="where ours stores its figures")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    python = python_of(args.venv)
    commit = first_line(["git", "-C", os.path.dirname(os.path.abspath(__file__)), "rev-parse", "--short", "HEAD"])
    print(f"{datetime.date.today()}, commit {commit}, {first_line(['rustc', '--version'])}")
    print(", ".join(f"{name} {version}" for name, version in PINNED.items()) + ", " + first_line([python, "--version"]))
    print(f"{cpu_name()}, {os.cpu_count()} cores, {platform.platform()}")
    mine, theirs, loads = [], [], []
    for _ in range(args.rounds):
        mine.append(ours(args, os.path.abspath(args.criterion_home)))
        loads.append(os.getloadavg()[0])
        theirs.append(libraries(python, args))
        loads.append(os.getloadavg()[0])
    print(f"{theirs[0]['cells']} cells, medians of {args.rounds} alternating rounds, load {min(loads):.1f} to "
          f"{max(loads):.1f}\n")
    median = {name: statistics.median(one[name] for one in mine) for name in mine[0]}
    first = theirs[0]
    groups = {
        group: {name: {**of, "ms": statistics.median(t["groups"][group][name]["ms"] for t in theirs)}
                for name, of in by_library.items()}
        for group, by_library in first["groups"].items()}
    whole = {step: {name: statistics.median(t["whole"][step][name] for t in theirs) for name in first["whole"][step]}
             for step in first["whole"]}
    show(median, {"groups": groups, "whole": whole}, first["ours_values"])


if __name__ == "__main__":
    main()
