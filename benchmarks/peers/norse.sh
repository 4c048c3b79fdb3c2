#!/usr/bin/env bash
# Makes benchmarks/.peers/norse: Norse on PyTorch's build for CPUs (see spikingjelly.sh for where pip finds that).
set -euo pipefail
cd "$(dirname "$0")/.."
python3 -m venv .peers/norse
pip=.peers/norse/bin/pip
$pip install -q torch==2.13.0 numpy==2.4.6 h5py setuptools setuptools_scm wheel
# Its archive does not say its version unless it is told, and its dependencies would bring torchvision.
SETUPTOOLS_SCM_PRETEND_VERSION=1.1.0 $pip install -q --no-deps --no-build-isolation norse==1.1.0
$pip install -q --no-deps nir==1.0.8 nirtorch==2.6
