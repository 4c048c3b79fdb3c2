"""The benchmark: everything in one session, or some parts of it."""

from __future__ import annotations

import sys

from .command import main

sys.exit(main())
