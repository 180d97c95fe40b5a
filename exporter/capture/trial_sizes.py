"""Sizes that a model is tried at where its height and width are open."""

from __future__ import annotations

GROWTH = 32  # cells by which open sizes differ between two runs; fits most strides
