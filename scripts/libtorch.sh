#!/usr/bin/env bash
# Prepares libtorch 2.9.0 for the CPU from PyPI's wheels, without the gigabytes of CUDA (Linux on x86-64).
#
#     bash scripts/libtorch.sh [FOLDER]        # default: libtorch; 0.5 GB kept of 0.9 GB downloaded
#     eval "$(bash scripts/libtorch.sh)"       # and sets LIBTORCH and LD_LIBRARY_PATH; again at no cost
#
# Needs python3 with pip, unzip and a C compiler. `libtorch.so` is an empty stub, since the real one wants the CUDA
# libraries; two small NVIDIA wheels hold what `libtorch_cpu.so` was linked with. Wheels are checked by hash.
set -euo pipefail

folder="$(mkdir -p "${1:-libtorch}" && cd "${1:-libtorch}" && pwd)"
settings="export LIBTORCH=$folder LD_LIBRARY_PATH=$folder/lib OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}"

if [ ! -e "$folder/complete" ]; then
    for tool in python3 unzip cc; do
        command -v "$tool" >/dev/null || { echo "$tool is missing" >&2; exit 1; }
    done
    wheels="$(mktemp -d)"
    trap 'rm -rf "$wheels"' EXIT
    cat >"$wheels/requirements.txt" <<'HASHES'
torch==2.9.0 --hash=sha256:51de31219c97c51cf4bf2be94d622e3deb5dcc526c6dc00e97c17eaec0fc1d67
nvidia-cuda-runtime-cu12==12.8.90 --hash=sha256:adade8dcbd0edf427b7204d480d6066d33902cab2a4707dcfc48a2d0fd44ab90
nvidia-cuda-cupti-cu12==12.8.90 --hash=sha256:ea0cb07ebda26bb9b29ba82cda34849e73c166c18162d3913575b0c9db9a6182
HASHES
    echo "downloading 0.9 GB of wheels" >&2
    python3 -m pip download --quiet --no-deps --only-binary=:all: --require-hashes --python-version 3.11 \
        --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 --platform manylinux1_x86_64 \
        --dest "$wheels" --requirement "$wheels/requirements.txt" >&2
    (
        cd "$wheels"
        unzip -q torch-*.whl 'torch/include/*' torch/lib/libtorch_cpu.so torch/lib/libc10.so torch/lib/libgomp.so.1
        for wheel in nvidia*.whl; do unzip -qo "$wheel"; done
    )
    rm -rf "$folder/include" "$folder/lib"
    mkdir "$folder/lib"
    mv "$wheels/torch/include" "$folder/"
    mv "$wheels"/torch/lib/* "$folder/lib/"
    cp "$wheels/nvidia/cuda_cupti/lib/libcupti.so.12" "$wheels/nvidia/cuda_runtime/lib/libcudart.so.12" "$folder/lib/"
    ln -s libgomp.so.1 "$folder/lib/libgomp.so"
    echo 'void wbc_libtorch_stub(void){}' |
        cc -shared -fPIC -Wl,-soname,libtorch.so -x c - -o "$folder/lib/libtorch.so"
    touch "$folder/complete"
fi
echo "$settings"
