"""What the figures should be, and which rows miss it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .book import Row


def _linear(row: Row) -> bool:
    return row["linear_head"]


def _deeper(row: Row) -> bool:
    return not row["linear_head"]


@dataclass(frozen=True)
class Target:
    """A bound on one ratio of a part's rows.

    Attributes:
        part: Name of the part.
        ratio: Name among the row's ratios.
        text: What is bounded.
        bound: The value.
        at_most: Whether the ratio should stay below, or reach, the bound.
        applies: To which rows.
    """

    part: str
    ratio: str
    text: str
    bound: float
    at_most: bool = True
    applies: Callable[[Row], bool] = lambda row: True

    def covers(self, row: Row) -> bool:
        """Whether the row has the ratio and the bound is meant for it."""
        return self.ratio in row["ratios"] and self.applies(row)

    def reached(self, row: Row) -> bool:
        """Whether the median keeps the bound."""
        value = row["ratios"][self.ratio][1]
        return value <= self.bound if self.at_most else value >= self.bound

    def worst(self, rows: list[Row]) -> Row:
        """The row farthest on the wrong side."""
        pick = max if self.at_most else min
        return pick(rows, key=lambda row: row["ratios"][self.ratio][1])


_AUTO = "automatic layer, explained / plain forward"
_PEER = "/ explained run"
TARGETS = (
    Target("last", "explained", f"{_AUTO}, K = 1, pool + linear head", 1.02, applies=_linear),
    Target("last", "explained", f"{_AUTO}, K = 1, other heads", 1.10, applies=_deeper),
    Target("last", "five", f"{_AUTO}, K = 5, pool + linear head", 1.05, applies=_linear),
    Target("last", "five", f"{_AUTO}, K = 5, other heads", 1.25, applies=_deeper),
    Target("last", "predict", "automatic layer, K = 0 / plain forward", 1.01),
    Target("inner", "predict", "inner layers, K = 0 / plain forward", 1.01),
    Target("inner", "explained", "inner layers, extra time / forward of the part above", 1.15),
    Target("adjoint", "ours_of_theirs", "inner layers, extra time / that of onnx-ad", 0.5),
    Target("memory", "artifact", "peak memory / that of the plain session", 1.05),
    Target("size", "artifact", "file size / plain file", 1.02),
    Target("export", "graftcam", "`export` unverified / `torch.onnx.export`", 1.3),
    Target("imports", "package", "`import graftcam.runtime` / its libraries", 1.05),
    Target("imports", "all", "`graftcam.runtime` in use with its libraries / libraries", 1.05),
    Target("peers", "torch", f"PyTorch's forward {_PEER}", 1.0, at_most=False),
    Target("peers", "pytorch-grad-cam", f"pytorch-grad-cam {_PEER}", 4.0, at_most=False),
    Target("peers", "captum", f"captum {_PEER}", 1.5, at_most=False),
    Target("peers", "torch-cam", f"torch-cam {_PEER}", 1.5, at_most=False),
    Target("cold", "time", "process start to first map / pytorch-grad-cam", 0.333),
    Target("cold", "memory", "peak memory of it / pytorch-grad-cam", 0.333),
)  # fmt: skip


def missed(part: str, row: Row) -> list[str]:
    """Names of the row's ratios that miss a target."""
    return [t.ratio for t in TARGETS if t.part == part and t.covers(row) and not t.reached(row)]
