#!/usr/bin/env bash
# Makes benchmarks/.peers/pytorch: PyTorch's build for CPUs, nothing else.
#
# pip takes torch from wherever it is configured to look. Where that is only the default index, on Linux, it brings
# the (large) CUDA build; point PIP_EXTRA_INDEX_URL at PyTorch's index of CPU builds to avoid that.
set -euo pipefail
cd "$(dirname "$0")/.."
python3 -m venv .peers/pytorch
.peers/pytorch/bin/pip install -q torch==2.13.0 numpy==2.4.6
