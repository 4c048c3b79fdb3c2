#!/usr/bin/env bash
# Makes benchmarks/.peers/zigzag: ZigZag, which maps networks onto one core for inference (its package is zigzag-dse).
set -euo pipefail
cd "$(dirname "$0")/.."
python3 -m venv .peers/zigzag
# It imports six, and does not ask for it.
.peers/zigzag/bin/pip install -q zigzag-dse==3.9.1 six
