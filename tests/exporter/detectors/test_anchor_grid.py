"""The meaning of four numbers, from boxes that lie on their anchors."""

from __future__ import annotations

import numpy as np
import pytest

from graftcam.exporter.locate.detectors.anchor_grid import read_grid


def anchors(strides: tuple[int, ...] = (8, 16), sides: tuple[int, int] = (64, 96)) -> np.ndarray:
    """Centre and size of each anchor, in pixels, row by row."""
    rows = list[tuple[float, float, float, float]]()
    for s in strides:
        rows += [(x + s / 2, y + s / 2, 4.0 * s, 3.0 * s)
                 for y in range(0, sides[0], s) for x in range(0, sides[1], s)]  # fmt: skip
    return np.array(rows, np.float64)


def corners(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1)


@pytest.mark.parametrize("layout", ["cxcywh", "xyxy"])
@pytest.mark.parametrize("units", ["pixels", "unit"])
@pytest.mark.parametrize("vertical_first", [False, True])
def test_layout_units_and_order_are_read(layout: str, units: str, vertical_first: bool) -> None:
    boxes = anchors()
    boxes = boxes if layout == "cxcywh" else corners(boxes)
    boxes = boxes / [96, 64, 96, 64] if units == "unit" else boxes
    found = read_grid(boxes[:, [1, 0, 3, 2]] if vertical_first else boxes, (64, 96))
    assert found is not None
    assert (found.layout, found.units, found.vertical_first) == (layout, units, vertical_first)
    assert found.strides == (8, 16)
    assert found.full


@pytest.mark.parametrize("name", ["constant", "noise", "cells", "far"])
def test_numbers_that_are_no_boxes_show_nothing(name: str) -> None:
    noise = np.random.default_rng(0).random((120, 4)) * 60
    boxes = {"constant": np.ones((120, 4)), "noise": noise, "cells": anchors() * [1, 1, 0, 0],
             "far": anchors() * 9}[name]  # fmt: skip
    found = read_grid(boxes, (64, 96))
    # Sizes of zero are what a head without a bias predicts at rest: they are boxes.
    assert (found is not None) == (name == "cells")
