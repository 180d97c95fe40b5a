"""Where a step exchanges what a model selects by size, its difference is no slope."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from graftcam.exporter.verify.checks.torch_reference import Reference
from graftcam.exporter.verify.float64.differences import (
    Differences,
    Gradient,
    SelectionFlippedError,
    compare_all,
)
from graftcam.exporter.verify.float64.head import Float64Head
from graftcam.exporter.verify.verdict.deadline import NO_DEADLINE
from graftcam.runtime.spec import Layer

_LAYER = Layer("", "", "channels_first", [], 0, "", "", "")


def _compare(flips: float) -> Differences:
    """Differences of a linear score that flips where its first entry moves further than this."""
    slope = np.array([1.0, 2.0, 3.0])

    def score(value: np.ndarray) -> float:
        if abs(value[0] - 1) > flips:
            raise SelectionFlippedError
        return float(value @ slope)

    others = [np.array([0.0, 1.0, -1.0])]
    asked = Gradient(score, np.ones(3), slope, _LAYER, others)
    return compare_all(iter([asked]), 1, np.random.default_rng(0), NO_DEADLINE)


def test_directions_that_flip_are_left_out_and_counted() -> None:
    found = _compare(flips=0)
    assert (found.done, found.flips) == (1, 3)  # the further direction does not move the first
    assert found.error < 1e-6
    assert found.left_out == "3 directions left out, where the model selects other parts"
    assert _compare(flips=1).left_out == ""


def test_closer_to_the_point_fewer_flip() -> None:
    assert _compare(flips=1e-7).flips == 0  # the second step is 1e-8 long


class _Best(nn.Module):
    """The two best of four rows."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = self.rows(x)
        places = rows.sum(2).topk(2, dim=1).indices
        return rows.gather(1, places[..., None].expand(-1, -1, rows.shape[2])).mean(1)


def test_a_reference_knows_what_its_last_run_selected() -> None:
    rows = torch.tensor([[[1.0, 2], [5, 6], [3, 4], [0, 0]]])
    reference = Reference(_Best(), [Layer("rows", "", "tokens", [4], 0, "", "", "")])
    selected = np.array([[0]])
    start = reference.values_of([rows])["rows"]
    before = reference.selections
    reference.scores_at([rows], {"rows": start + 1e-3}, selected, None)
    assert reference.selects_as(before)
    changed = start.copy()
    changed[0, 0] = 9
    reference.scores_at([rows], {"rows": changed}, selected, None)
    assert not reference.selects_as(before)


def test_a_head_in_float64_refuses_another_selection(tmp_path: pytest.TempPathFactory) -> None:
    model = ir.from_onnx_text(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        net (float[1, 4] x) => (float[1, 2] y)
        <int64[1] two = {2}>
        {
            layer = Identity (x)
            best, places = TopK (layer, two)
            y = GatherElements <axis = 1> (layer, places)
        }
        """
    )
    start = np.array([[1.0, 4, 3, 2]])
    head = Float64Head(model, "layer", "y", {"x": start.astype(np.float32)}, tmp_path)  # type: ignore[arg-type]
    np.testing.assert_array_equal(head(start), [[4, 3]])
    np.testing.assert_array_equal(head(start + 0.1), [[4.1, 3.1]])
    with pytest.raises(SelectionFlippedError):
        head(np.array([[9.0, 4, 3, 2]]))
