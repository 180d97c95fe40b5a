"""One thread: test processes share the cores, and small tensors gain nothing from a second."""

from __future__ import annotations

import os

# PyTorch reads it when it is imported.
os.environ["OMP_NUM_THREADS"] = "1"
