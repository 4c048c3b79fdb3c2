#!/usr/bin/env bash
# Makes benchmarks/.peers/snntorch: snnTorch on PyTorch's build for CPUs (see spikingjelly.sh for where pip finds that).
set -euo pipefail
cd "$(dirname "$0")/.."
python3 -m venv .peers/snntorch
.peers/snntorch/bin/pip install -q torch==2.13.0 numpy==2.4.6
.peers/snntorch/bin/pip install -q --no-deps snntorch==1.0.0
