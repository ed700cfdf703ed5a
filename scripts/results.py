"""Writes docs/results/NAME.md, NAME.json and NAME-curves.svg from a run folder and the output of `wbc-clip --json eval`.

usage: python3 scripts/results.py NAME RUN_FOLDER EVAL.json "machine, date, commit, CPU minutes"
needs: Python 3.9 or newer, no packages."""
import json
import math
import pathlib
import sys

ATTRIBUTES = "attributes"


def figure(f, digits=3):
    if f is None or f["value"] is None:
        return "–"
    text = f"{f['value']:.{digits}f}"
    if f["ci95"]:
        text += f" [{f['ci95'][0]:.{digits}f}, {f['ci95'][1]:.{digits}f}]"
    return text


def hit(scores, direction, relevance):
    found = [r for r in scores["retrieval"] if (r["direction"], r["relevance"]) == (direction, relevance)]
    return figure(found[0]["hit_rate"]["1"]) if found else "–"


def rows(document):
    for d in document["datasets"]:
        branches = [("whole", d)] + sorted((d.get("branches") or {}).items())
        branches += [("descriptor", d["descriptor"])] if "descriptor" in d else []
        for name, s in branches:
            z, a = s.get("zero_shot") or {}, s.get(ATTRIBUTES) or {}
            yield [d["id"], name, str(d["n"]), figure(z.get("accuracy")), figure(z.get("balanced_accuracy")),
                   figure(z.get("macro_f1")), figure(z.get("ece")), figure(a.get("mean_accuracy")),
                   figure(a.get("mean_macro_f1")), hit(s, "image_to_text", "same_attributes"),
                   hit(s, "text_to_image", "same_attributes")]


def table(header, body):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(r) + " |" for r in body])


def curves(metrics):
    steps, losses, validations = [], [], {}
    for line in metrics.read_text().splitlines():
        record = json.loads(line)
        if "loss" in record:
            steps.append(record["step"])
            losses.append(record["loss"])
        else:
            for name, value in record["validation"].items():
                validations.setdefault(name, []).append((record["step"], value))
    window = max(1, len(steps) // 60)
    smooth = [(steps[i], sum(losses[max(0, i - window):i + 1]) / len(losses[max(0, i - window):i + 1]))
              for i in range(0, len(steps), max(1, len(steps) // 300))]
    return smooth, validations, steps[-1] + 1


def svg(metrics):
    smooth, validations, total = curves(metrics)
    width, height, left, top = 420, 240, 48, 24
    colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999", "#882255", "#44aa99"]

    def panel(x0, title, lines, low, high):
        def place(step, value):
            return (f"{x0 + left + step / total * (width - left - 12):.1f},"
                    f"{top + (high - value) / (high - low) * (height - top - 30):.1f}")
        out = [f'<text x="{x0 + left}" y="14" font-size="13">{title}</text>']
        for i in range(5):
            value = low + (high - low) * i / 4
            y = place(0, value).split(",")[1]
            out.append(f'<line x1="{x0 + left}" x2="{x0 + width - 12}" y1="{y}" y2="{y}" stroke="#ddd"/>'
                       f'<text x="{x0 + left - 4}" y="{y}" font-size="10" text-anchor="end">{value:.2f}</text>')
        for i, (name, points) in enumerate(lines):
            colour = colours[i % len(colours)]
            path = " ".join(place(s, v) for s, v in points)
            out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
            if name:
                out.append(f'<text x="{x0 + width}" y="{top + 14 + 15 * i}" font-size="11" fill="{colour}">{name}</text>')
        out.append(f'<text x="{x0 + width - 12}" y="{height - 8}" font-size="10" text-anchor="end">step {total}</text>')
        return "".join(out)

    values = [v for _, v in smooth]
    low, high = math.floor(min(values) * 2) / 2, math.ceil(max(values) * 2) / 2
    named = sorted((n, p) for n, p in validations.items() if not n.endswith("zero_shot.accuracy"))
    body = panel(0, "loss", [("", smooth)], low, high) + panel(width + 20, "validation", named, 0.2, 1.0)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * width + 320}" height="{height}" '
            f'font-family="sans-serif"><rect width="100%" height="100%" fill="#fff"/>{body}</svg>\n')


def main():
    name, run, evaluation, note = sys.argv[1:]
    document = json.loads(pathlib.Path(evaluation).read_text())
    out = pathlib.Path(__file__).parent.parent / "docs" / "results"
    out.mkdir(parents=True, exist_ok=True)
    header = ["dataset", "branch", "cells", "type accuracy", "balanced", "macro-F1", "ECE", "attribute accuracy",
              "attribute macro-F1", "image→text R@1", "text→image R@1"]
    parts = [f"# {name}", note, f"Configuration: [`configs/{name}.toml`](../../configs/{name}.toml). "
             "R@1 is the hit rate at 1 by `same_attributes`. Brackets are 95 % percentile bootstrap intervals.",
             table(header, rows(document)), f"![learning curves]({name}-curves.svg)"]
    for d in document["datasets"]:
        if d.get("zero_shot"):
            z = d["zero_shot"]
            parts.append(f"## {d['id']}: true type by row, predicted by column")
            parts.append(table([""] + d["classes"] + ["recall"],
                               [[c] + [str(n) for n in z["confusion"][i]] + [figure(z["per_class"][c]["recall"])]
                                for i, c in enumerate(d["classes"])]))
        if d.get(ATTRIBUTES):
            parts.append(f"## {d['id']}: attributes")
            each = d[ATTRIBUTES]["per_attribute"]
            parts.append(table(["attribute", "accuracy", "macro-F1"],
                               [[a, figure(s["accuracy"]), figure(s["macro_f1"])] for a, s in each.items()]))
    (out / f"{name}.md").write_text("\n\n".join(parts) + "\n")
    (out / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    (out / f"{name}-curves.svg").write_text(svg(pathlib.Path(run) / "metrics.jsonl"))


if __name__ == "__main__":
    main()
