#!/usr/bin/env bash
# Makes models/wbcatt, the model that comes with the program, from the data: about 85 CPU-minutes.
#
#     WBC_CLIP_DATA=DATA bash scripts/bundled_model.sh [OUT]    # default: models/wbcatt
#
# Needs `wbc-clip` (or WBC_CLIP=/path/to/it), and what scripts/encoder_weights.sh needs. Writes `encoders/` and `runs/` in the
# working folder and leaves alone what is there; a training that was interrupted goes on with `--resume`.
set -euo pipefail
out="${1:-models/wbcatt}"
program="${WBC_CLIP:-wbc-clip}"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
tuned=runs/wbcatt-efficientnet-hospitals
halfway=runs/wbcatt-efficientnet-halfway

if [ ! -e encoders/efficientnet-lite0 ]; then
    bash "$here/encoder_weights.sh" encoders
    "$program" weights import encoders/efficientnet-lite0.pth --out encoders/efficientnet-lite0
fi
"$program" train "$here/../configs/wbcatt-efficientnet-hospitals.toml" --resume
if [ ! -e encoders/efficientnet-lite0-halfway ]; then
    # the run with the mean of its weights before and after (WiSE-FT, Wortsman et al. 2022) in the place of its own
    rm -rf "$halfway"
    mkdir -p "$halfway"
    find "$tuned" -maxdepth 1 -type f ! -name weights.safetensors -exec cp {} "$halfway" \;
    sed -i.bak "s|^out = .*|out = \"$halfway\"|" "$halfway/config.toml" # the encoder is named after its run
    "$program" weights average "$tuned/initial.safetensors" "$tuned/weights.safetensors" --out "$halfway/weights.safetensors"
    "$program" weights import "$halfway" --out encoders/efficientnet-lite0-halfway
fi
"$program" train "$here/../configs/wbcatt-bundled.toml" --resume
"$program" export runs/wbcatt-bundled --format safetensors-i8 --out "$out"
# general words about licences give way to the sources themselves
{ sed '/^## Licence/,$d' "$out/README.md"; cat "$here/bundled_card.md"; } > "$out/README.part"
mv "$out/README.part" "$out/README.md"
