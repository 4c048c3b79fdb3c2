#!/usr/bin/env bash
# Makes benchmarks/.peers/spikingjelly: SpikingJelly on PyTorch's build for CPUs.
#
# pip takes torch from wherever it is configured to look. Where that is only the default index, on Linux, it brings
# the (large) CUDA build; point PIP_EXTRA_INDEX_URL at PyTorch's index of CPU builds to avoid that.
set -euo pipefail
cd "$(dirname "$0")/.."
python3 -m venv .peers/spikingjelly
pip=.peers/spikingjelly/bin/pip
$pip install -q torch==2.13.0 numpy==2.4.6 scipy matplotlib tqdm loguru packaging h5py requests
# Its dependencies would bring torchvision, and with it another torch; what it needs here is installed above.
$pip install -q --no-deps spikingjelly==2.0.0
