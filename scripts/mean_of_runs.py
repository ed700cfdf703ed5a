#!/usr/bin/env python3
"""What several runs say together: the geometric mean of their probabilities, on bccd and wbcatt:val.

    for run in runs/a runs/b; do for d in bccd wbcatt:val; do
        wbc-clip --json classify $d --run $run > "$(basename $run).$d.json"; done; done
    WBC_CLIP_DATA=DATA python3 scripts/mean_of_runs.py a b

Prints, on bccd, type accuracy and balanced accuracy; the error among its four classes without basophils, and among the 80 % most
confident; on wbcatt:val balanced accuracy of the type, mean accuracy of the attributes and the share of cells of which all are right.
Standard library only.
"""
import csv
import json
import math
import os
import sys

DATA = os.environ["WBC_CLIP_DATA"]


def rows(path):
    with open(os.path.join(DATA, path), newline="") as file:
        return list(csv.DictReader(file))


def answers(runs, dataset):
    """Per cell its id and, per fact, the mean logarithm of every value's probability."""
    documents = [json.load(open(f"{run}.{dataset}.json"))["cells"] for run in runs]
    for cells in zip(*documents):
        assert len({cell["id"] for cell in cells}) == 1, "the runs were asked about other cells"
        facts = {}
        for name in ["type", *cells[0]["attributes"]]:
            given = [cell["type"] if name == "type" else cell["attributes"][name] for cell in cells]
            values = [dict(one["probabilities"]) for one in given]
            facts[name] = {v: sum(math.log(max(one[v], 1e-30)) for one in values) / len(values) for v in values[0]}
        yield cells[0]["id"], facts


def top(scores):
    return max(scores, key=scores.get)


def balanced(pairs):
    recalls = [[p == t for t, p in pairs if t == true] for true in sorted({t for t, _ in pairs})]
    return sum(sum(r) / len(r) for r in recalls) / len(recalls)


def main(runs):
    label = {os.path.basename(r["crop"])[:-4]: r["label"] for r in rows("bccd/labels.csv")}
    said = [(label[i], facts["type"]) for i, facts in answers(runs, "bccd") if label.get(i)]
    said = [(true, scores) for true, scores in said if true in scores]
    pairs = [(true, top(scores)) for true, scores in said]
    four = []
    for true, scores in said:
        if true != "basophil":
            rest = {v: s for v, s in scores.items() if v != "basophil"}
            sure = max(rest.values()) - math.log(sum(math.exp(s) for s in rest.values()))
            four.append((-sure, top(rest) != true))
    four.sort()
    kept = four[: round(0.8 * len(four))]
    print(f"bccd {sum(t == p for t, p in pairs) / len(pairs):.3f}, balanced {balanced(pairs):.3f}; error of four classes "
          f"{sum(e for _, e in four) / len(four):.3f}, at 80 % {sum(e for _, e in kept) / len(kept):.3f}")
    truth = {r["img_name"][:-4]: r for r in rows("wbcatt/pbc_attr_v1_val.csv")}
    types, right, cells, whole = [], 0, 0, 0
    for i, facts in answers(runs, "wbcatt:val"):
        types.append((truth[i]["label"].lower(), top(facts["type"])))
        hits = [top(scores) == truth[i][name] for name, scores in facts.items() if name != "type"]
        right, cells, whole = right + sum(hits) / len(hits), cells + 1, whole + all(hits)
    print(f"wbcatt:val type, balanced {balanced(types):.3f}; attributes {right / cells:.3f}, all right {whole / cells:.3f}")


main(sys.argv[1:])
