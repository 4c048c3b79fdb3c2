#!/usr/bin/env bash
# Makes benchmarks/.peers/onnxruntime: ONNX Runtime for CPUs, for inference of exported files.
set -euo pipefail
cd "$(dirname "$0")/.."
python3 -m venv .peers/onnxruntime
.peers/onnxruntime/bin/pip install -q onnxruntime==1.32.0 numpy==2.4.6
