"""Random PyTorch modules, and how their artifacts are judged."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graftcam.exporter import export

from . import torch_steps, torch_steps_maps
from .program import Choices, took
from .torch_builder import TORCH_STEPS, TorchBuilder, UnfitError
from .torch_judge import judge
from .torch_run import LAYER, in_double, loaded
from .trial import SCORE, Judgement

BY_NAME = {one.name: one for one in TORCH_STEPS}
TABLES = (torch_steps, torch_steps_maps)


@dataclass(frozen=True)
class TorchSource:
    """A module as the text of a Python file that makes ``model`` and its example input ``x``."""

    text: str
    suffix = ".py"

    def why_it_does_not_run(self) -> str:
        """What it fails with in float64; it has run in float32 as it grew."""
        model, x = loaded(self.text)
        try:
            in_double(model)(x.double())
        except Exception as error:
            return str(error)
        return ""

    def export(self, path: Path, verify: Any) -> Any:
        """Write the artifact and return the report."""
        model, x = loaded(self.text)
        return export(model, path, (x,), layers=LAYER, score=SCORE, verify=verify)

    def judge(self, path: Path, report: Any) -> Judgement:
        """Compare an artifact with autograd and with differences of the module."""
        model, x = loaded(self.text)
        return judge(model, x, path, report.spec)


class TorchKind:
    """How random modules grow."""

    def start(self, choices: Choices) -> TorchBuilder:
        """An input, perhaps a first step, and the layer."""
        return TorchBuilder(choices)

    def fitting(self, grown: TorchBuilder) -> list[str]:
        """The steps for the latest value's rank; those of maps twice."""
        found = [one for one in TORCH_STEPS if len(grown.latest[1]) in one.ranks]
        return [one.name for one in [*found, *(one for one in found if 1 not in one.ranks)]]

    def grow(self, grown: TorchBuilder, name: str, choices: Choices) -> bool:
        """Take a step if PyTorch runs it and has its gradient."""
        return took(grown, BY_NAME[name].make, choices)

    def finish(self, grown: TorchBuilder, choices: Choices) -> TorchSource:
        """Scores from the latest value."""
        grown.choose = choices
        grown.highest = math.inf  # scores may be large
        if len(grown.latest[1]) > 1:
            grown.add("{x}.flatten(1)")
        places, known = grown.latest[1][0], (len(grown.lines), len(grown.modules))
        if grown.one_of(False, True) or places < 2:
            try:
                grown.add(f"{grown.module(f'nn.Linear({places}, 3)')}({{x}})")
            except UnfitError:  # its sums may be infinite
                if places < 2:
                    raise
                del grown.lines[known[0] :], grown.modules[known[1] :]
        return TorchSource(grown.text(grown.latest[0]))
