#!/usr/bin/env bash
# What each part of the recipe is worth: trains the base and the base without one part, evaluates all on the same cells.
#
#   WBC_CLIP_DATA=DATA bash scripts/ablations.sh OUT [NAME...]
#
# needs `wbc-clip` (or WBC_CLIP=/path/to/it) and `encoders/efficientnet-lite0-halfway` in the working folder, which
# scripts/bundled_model.sh makes.
# Writes OUT/NAME (a run), OUT/NAME.json (its `eval`) and OUT/NAME.seconds (CPU seconds of the training; views and features are
# counted where they were not cached), and leaves alone what is there. NAMEs choose among the variants; WBC_CLIP_OPTIONS is
# added to every command. `wbc-clip report OUT/*.json --out OUT/report.html` compares them.
set -euo pipefail
out="${1:?where the runs go}"
shift
wanted=" $* "
program="${WBC_CLIP:-wbc-clip}"
configs="$(cd "$(dirname "${BASH_SOURCE[0]}")/../configs" && pwd)"
mkdir -p "$out"
TIMEFORMAT=%U

variant() { # NAME [--set KEY=VALUE]...
    local name="$1"
    shift
    if [ "$wanted" != "  " ] && [[ "$wanted" != *" $name "* ]]; then return; fi
    # less time, and the figures that docs/results/ablations.md has
    local single=(--set model.image_encoder.symmetries=1 --set model.members=1)
    if [ -n "${config:-}" ]; then single=(); fi
    if [ ! -e "$out/$name.seconds" ]; then
        {
            time "$program" train "$configs/${config:-wbcatt-bundled}.toml" --set "out=$out/$name" --set optimiser.epochs=16 \
                --set optimiser.validations=2 "${single[@]}" "$@" ${WBC_CLIP_OPTIONS:-} > "$out/$name.log" 2>&1
        } 2> "$out/$name.part"
        mv "$out/$name.part" "$out/$name.seconds"
    fi
    if [ ! -e "$out/$name.json" ]; then
        "$program" eval "$out/$name" --dataset wbcatt:val --dataset bccd --dataset zheng2018-d2 --json \
            ${WBC_CLIP_OPTIONS:-} > "$out/$name.part" 2>> "$out/$name.log"
        mv "$out/$name.part" "$out/$name.json"
    fi
    echo "$name: $(cat "$out/$name.seconds") CPU s"
}

# The whole tower, then each part of the training away.
variant base
config=wbcatt-measurements variant without-pixels --set view.shift.dye_mixing_sd=0.15 \
    --set view.shift.stain_balance_sd=0.35 --set view.shift.staining_channel_sd=0.18 --set view.shift.gamma_sd=0.2 \
    --set model.text.depth=1 --set model.tokenizer.vocab_size=800
variant without-measurements --set model.branches=pixels
variant with-readings --set 'model.readings={}'
variant without-contrast-sets --set optimiser.contrast_weight=0
variant without-captions --set optimiser.caption_weight=0
variant without-branch-dropout --set model.branch_dropout=0
variant without-shift --set view.shifted_copies=0 --set optimiser.epochs=32
variant with-three-copies --set view.shifted_copies=3 --set optimiser.epochs=8
# The pixels alone, of one shifted copy; then each part of the view away.
pixels=(--set model.branches=pixels --set view.shifted_copies=1 --set optimiser.epochs=16)
variant pixels "${pixels[@]}"
variant pixels-without-fading "${pixels[@]}" --set view.faded=false
variant pixels-without-stain-normalisation "${pixels[@]}" --set view.stain_normalised=false
variant pixels-of-the-plain-frame "${pixels[@]}" --set view.viewer=plain
