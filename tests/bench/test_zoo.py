"""The zoo's check of one model, from its layers to its record."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import truth
from benchmarks.zoo_case import run_case
from benchmarks.zoo_models import Case
from graftcam.exporter.verify import Check


def test_a_model_passes_at_the_layers_that_the_zoo_chooses() -> None:
    record = run_case(Case("torchvision", "squeezenet1_1", (64, 96)))
    assert record["verdict"] == "pass", record["faults"]
    assert len(record["layers"]) == 3
    assert record["twin"]["error"] < 1e-5


@pytest.mark.parametrize(("lost", "judged"), [(0, 18), (1, 15), (3, 9), (4, 18)])
def test_runs_on_which_pytorch_is_lost_are_left_out_up_to_half(lost: int, judged: int) -> None:
    parts = [_checks(own=0.9 if run < lost else 1e-6) for run in range(6)]
    (check,) = truth.joined(parts, truth.CEILING)
    assert len(check.errors) == judged
    assert check.passed == (lost < 4)


def _checks(own: float) -> list[Check]:
    return [Check("gradients", np.full(3, 3 * own), np.full(3, own), 1 - 3 * own, 1 - own)]
