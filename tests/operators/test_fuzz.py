"""Random models through the whole export, judged by code that shares nothing with it.

`make fuzz` tries thousands; these are the first few hundred, and tests of the judge itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fuzz.differences import DOUBLE, slopes
from fuzz.program import Choices, Program
from fuzz.shrink import shrink
from fuzz.torch_rounding import may_be
from fuzz.trial import FAULTS, Judgement, trial
from fuzz.work import Record, run_one
from graftcam.exporter.differentiate import registry
from graftcam.exporter.differentiate.cotangent import Cotangents
from graftcam.exporter.errors import UnsupportedError, VerificationError

EACH = 20


def told(records: Sequence[Record]) -> list[str]:
    """The faults among them."""
    faults = [one for one in records if one["outcome"] in FAULTS]
    return [f"{one['kind']} {one['seed']}: {one['outcome']}: {one['detail']}" for one in faults]


@pytest.mark.parametrize("first", range(0, 200, EACH))
def test_random_onnx_files_have_the_gradient_that_differences_find(first: int) -> None:
    records = [run_one("onnx", seed, verify=False) for seed in range(first, first + EACH)]
    assert told(records) == []
    assert sum(one["outcome"] == "right" for one in records) > EACH // 2


@pytest.mark.parametrize("first", range(1000, 1060, EACH))
def test_random_onnx_files_pass_the_verification_if_they_are_right(first: int) -> None:
    assert told([run_one("onnx", seed) for seed in range(first, first + EACH)]) == []


@pytest.mark.parametrize("seed", range(2))
def test_random_modules_have_the_gradient_that_pytorch_finds(seed: int) -> None:
    assert told([run_one("torch", seed)]) == []


def test_a_wrong_rule_is_found_and_shrunk_to_its_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = registry.table()["Softmax"]
    rule: Any = entry.rule

    def wrong(*arguments: Any) -> Cotangents:
        return [result and result * 1.05 for result in rule(*arguments)]

    monkeypatch.setitem(registry._TABLE, "Softmax", replace(entry, rule=wrong))
    for seed in range(400):
        record = run_one("onnx", seed, verify=False, shrunk=Counter())
        if "Softmax" in record.get("text", ""):
            break
    else:
        pytest.fail("no random file shows it")
    assert len(record["smallest"]) == 1, record["text"]


@dataclass
class Fake:
    """A source whose export raises and whose artifact is what it says."""

    error: Exception | None
    verdict: Any = "right"
    suffix = ".txt"
    text = ""

    def why_it_does_not_run(self) -> str:
        return ""

    def export(self, path: Path, verify: Any) -> Any:
        if self.error is not None and (
            verify != "off" or not isinstance(self.error, VerificationError)
        ):
            raise self.error

    def judge(self, path: Path, report: Any) -> Judgement:
        return Judgement(self.verdict)


@pytest.mark.parametrize(
    ("error", "verdict", "outcome"),
    [
        (None, "right", "right"),
        (None, "wrong", "silent wrong"),
        (None, "unclear", "unclear"),
        (VerificationError("off"), "right", "false alarm"),
        (VerificationError("off"), "wrong", "stopped"),
        (UnsupportedError(["Det"]), "right", "refused"),
        (KeyError("x"), "right", "raw exception"),
    ],
)
def test_each_outcome_has_its_cause(
    error: Exception | None, verdict: str, outcome: str, tmp_path: Path
) -> None:
    assert trial(Fake(error, verdict), tmp_path).outcome == outcome


def test_the_smallest_program_keeps_only_what_matters() -> None:
    program = Program((3,), (("a", (4, 1)), ("b", (2, 7)), ("c", ())), (1,))
    least = shrink(program, lambda one: any(n == "b" and c[1] > 2 for n, c in one.steps), 10.0)
    assert least == Program((0,), (("b", (0, 3)),), (0,))


def test_choices_beyond_what_there_is_are_the_first() -> None:
    choices = Choices([2, 5])
    assert [choices(3), choices(4), choices(2)] == [2, 0, 0]
    assert choices.taken == [2, 0, 0]


def test_kinks_and_jumps_are_no_slopes() -> None:
    def run(x: np.ndarray) -> np.ndarray:
        a, b, c, d = np.moveaxis(x, -1, 0)
        return (np.abs(a) + b**2 + np.floor(c) + 3 * d)[..., None]

    found = slopes(run, np.array([[0.0, 0.5, 1.0, -0.3]]), DOUBLE)
    assert found.smooth[0, 0].tolist() == [False, True, False, True]
    assert found.settled[0, 0].tolist() == [True, True, False, True]
    assert found.central[0, 0, [1, 3]] == pytest.approx([1.0, 3.0], abs=1e-6)
    assert [found.low[0, 0, 0], found.high[0, 0, 0]] == pytest.approx([-1.0, 1.0], abs=1e-6)


class _Largest(nn.Module):
    """The larger of two numbers, the first of which is multiplied and divided."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.layer, self.factor = nn.Identity(), factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layer(x)
        y = torch.cat([y[:, :1] * self.factor / self.factor, y[:, 1:]], 1)
        return y.max(1, keepdim=True)[0]


@pytest.mark.parametrize(("factor", "either"), [(3.0, True), (4.0, False)])
def test_where_rounding_chooses_either_gradient_is_right(factor: float, either: bool) -> None:
    x = torch.full((1, 2), 0.7).double()
    first, second = torch.eye(2).double()
    model = _Largest(factor)
    assert may_be(model, x, (0, 0), first, 1e-6)
    assert may_be(model, x, (0, 0), second, 1e-6) is either


class _First(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x).topk(1, 1)[0]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_any_of_equal_numbers_may_be_the_first_in_order(place: int) -> None:
    found = torch.eye(3).double()[place]
    equal, apart = (torch.tensor([row]).double() for row in ([0.7, 0.7, 0.7], [0.7, 0.6, 0.7]))
    assert may_be(_First(), equal, (0, 0), found, 1e-6)
    assert may_be(_First(), apart, (0, 0), found, 1e-6) is (place != 1)
