"""These numbers are the defaults of what counts as a detection, and of how many are taken.

They stand in signatures, and so apart from the code that uses them.
"""

from __future__ import annotations

CONF = 0.25
"""The smallest probability of a detection."""

IOU = 0.45
"""The largest overlap (intersection over union) of two detections of one class."""

MOST_EXPLAINED = 16
"""Boxes that are explained."""

MOST_DETECTED = 300
"""Boxes that are listed."""
