"""This constant sets the sizes at which a model with open height and width is tried."""

from __future__ import annotations

GROWTH = 32  # cells by which open sizes differ between two runs; fits most strides
