#!/usr/bin/env bash
# Generates crates/wbc-encoders/src/onnx/proto.rs, the Rust types of ONNX's messages, from the official onnx.proto.
#
#     bash scripts/onnx_types.sh path/to/onnx.proto
#
# The file is part of the Python package `onnx` (onnx/onnx.proto); it is checked by hash, so that the types change only
# when somebody means them to. prost-build writes the types, protox reads the file in place of protoc: no C++. Both run
# in a temporary project and are no dependencies of ours.
set -euo pipefail

proto="${1:?usage: bash scripts/onnx_types.sh path/to/onnx.proto}"
version=1.23.2
sha256=547214dd049486a4d5ecbae593e9c72d90b5e8d603944b722eff469e0b5a9cc9
out="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/crates/wbc-encoders/src/onnx/proto.rs"

if ! sha256sum --check --status <<<"$sha256  $proto"; then
    echo "not the onnx.proto of onnx $version: $proto" >&2
    exit 1
fi
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
mkdir "$work/src" "$work/out"
cp "$proto" "$work/onnx.proto"
cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "onnx-types"
version = "0.0.0"
edition = "2024"
[dependencies]
prost-build = { version = "=0.14.6", default-features = false }
protox = "=0.10.0"
[workspace]
TOML
cat >"$work/src/main.rs" <<'RUST'
fn main() {
    let files = protox::compile(["onnx.proto"], ["."]).expect("onnx.proto is readable");
    prost_build::Config::new()
        .out_dir("out")
        .disable_comments(["."])
        .compile_fds(files)
        .expect("types can be written");
}
RUST
(cd "$work" && CARGO_TARGET_DIR="$work/target" cargo run --quiet)
{
    cat <<HEADER
// Generated from onnx.proto of onnx $version by scripts/onnx_types.sh (prost-build 0.14.6, protox 0.10.0): not edited by
// hand. onnx.proto: Copyright (c) ONNX Project Contributors, SPDX-License-Identifier: Apache-2.0.
HEADER
    cat "$work/out/onnx.rs"
} >"$out"
