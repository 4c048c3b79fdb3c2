#!/usr/bin/env bash
# Makes benchmarks/.peers/numpy: the environment of the plain NumPy implementation.
set -euo pipefail
cd "$(dirname "$0")/.."
python3 -m venv .peers/numpy
.peers/numpy/bin/pip install -q numpy==2.4.6
