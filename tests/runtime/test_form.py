"""How the axes of an input are read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graftcam.runtime.inputs.form import Form, form_of
from graftcam.runtime.spec import Preprocess


@pytest.mark.parametrize(
    ("shape", "cells", "layout", "form"),
    [
        ((1000,), [50], "channels_first", Form("signal", (0,))),
        ((12, 1000), [63], "channels_first", Form("signal", (1,), 0)),
        ((1000, 12), [63], "channels_last", Form("signal", (0,), 1)),
        # More cells than values along the usual axis: the other one is the time.
        ((1000, 12), [63], "channels_first", Form("signal", (0,), 1)),
        # Patches of 16 divide only one of the axes.
        ((7, 96), [6], "tokens", Form("signal", (1,), 0)),
        ((96, 7), [6], "tokens", Form("signal", (0,), 1)),
        ((128, 64), [5, 12], "tokens", Form("plane", (0, 1))),
        ((1, 64, 200), [32, 100], "channels_first", Form("plane", (1, 2), 0)),
        ((64, 200, 1), [32, 100], "channels_first", Form("plane", (0, 1), 2)),
        ((6, 64, 64), [32, 32], "channels_first", Form("plane", (1, 2), 0)),
        ((64, 64, 6), [32, 32], "channels_last", Form("plane", (0, 1), 2)),
        ((32, 48, 40), [8, 12, 10], "channels_first", Form("volume", (0, 1, 2))),
        ((1, 32, 48, 40), [8, 12, 10], "channels_first", Form("volume", (1, 2, 3), 0)),
        ((4, 32, 48, 40), [8, 12, 10], "channels_first", Form("volume", (1, 2, 3), 0)),
        ((3, 8, 32, 32), [8, 16, 16], "channels_first", Form("frames", (1, 2, 3), 0)),
        ((8, 3, 32, 32), [8, 16, 16], "channels_first", Form("frames", (0, 2, 3), 1)),
        ((8, 32, 32, 3), [8, 16, 16], "channels_first", Form("frames", (0, 1, 2), 3)),
        # Images of a bag, whatever their number of channels.
        ((6, 3, 32, 32), [6, 16, 16], "instances", Form("frames", (0, 2, 3), 1)),
        ((3, 3, 32, 32), [3, 16, 16], "instances", Form("frames", (0, 2, 3), 1)),
        ((6, 5, 32, 32), [6, 16, 16], "instances", Form("frames", (0, 2, 3), 1)),
        ((6, 32, 32), [6, 16, 16], "instances", Form("frames", (0, 1, 2))),
        ((6, 2, 900), [6, 90], "instances", Form("plane", (0, 2), 1)),
    ],
)
def test_axes_tell_what_they_are(shape: Any, cells: Any, layout: Any, form: Form) -> None:
    assert form_of(shape, np.float32, cells, layout) == form
    # The file may leave the extents of the maps open, unless two axes could be the time.
    if len(shape) != 2 or len(cells) == 2 or layout == "channels_last" or shape[0] == 12:
        assert form_of(shape, np.float32, [None] * len(cells), layout) == form


def test_integers_in_a_row_are_tokens() -> None:
    assert form_of((7,), np.int64, [7], "tokens") == Form("tokens", (0,))
    assert form_of((7, 9), np.int64, [7, 9]) == Form("plane", (0, 1))


@pytest.mark.parametrize(
    ("shape", "cells"), [((5,), [4, 4]), ((3, 8, 8), [8]), ((2, 3, 8, 8, 8), [8]), ((4,), [])]
)
def test_an_input_of_other_axes_carries_no_map(shape: Any, cells: Any) -> None:
    assert form_of(shape, np.float32, cells) is None


def test_stored_preprocessing_says_where_the_channels_are() -> None:
    for layout, axis in (("nchw", 0), ("nhwc", 2)):
        transform = Preprocess(input="x", layout=layout)  # pyright: ignore[reportArgumentType]
        form = form_of((3, 3, 3), np.float32, [1, 1], "channels_first", transform)
        assert form is not None
        assert form.channel == axis
