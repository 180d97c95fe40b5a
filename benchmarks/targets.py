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


WHY = {
    ("last", "explained"): (
        "The last layer of a ViT that has places is in its last block, whose adjoint is as many "
        "products again: a twelfth of the model."
    ),
    ("last", "five"): (
        "Five cotangents are five times the products of what lies above the layer: the last block "
        "of a ViT, the linear layers of VGG. Only a pooled linear head has them for nothing."
    ),
    ("last", "predict"): (
        "What is added takes 0.4 to 4 ms, empty as its tensors are: less than these rounds can "
        "tell, whose quartiles lie 6 to 14 % apart."
    ),
    ("inner", "predict"): (
        "A mask reads its activation in plain order, for which ONNX Runtime copies it out of its "
        "blocked layout (ReorderOutput) whether or not K = 0; several hundred nodes on empty "
        "tensors take 0.01 ms each."
    ),
    ("inner", "explained"): (
        "The convolutions of the adjoint take as long as those of the forward pass, which is the "
        "floor of about 1. On top come masks (Greater, Where, or a SiLU's derivative), which the "
        "forward pass has fused into its convolutions, the copies between blocked and plain "
        "order around them, and strided convolutions, whose ConvTranspose takes longer than the "
        "convolution did, but less than any other form that was tried."
    ),
    ("adjoint", "ours_of_theirs"): (
        "At half of onnx-ad's time ours would be below the floor that the row above explains."
    ),
    ("memory", "artifact"): (
        "ONNX Runtime keeps the weights of a linear layer packed for the forward product; the "
        "adjoint needs them as they were stored, so they are there twice (VGG16: 0.5 GB). The "
        "others are steps in which its arena grows."
    ),
    ("imports", "all"): (
        "The package itself takes 0.5 % of its libraries' time; all modules of the runtime, which "
        "load when they are first used, 18 %."
    ),
    ("peers", "torch"): (
        "ONNX Runtime's own forward is no faster than PyTorch's on these models at N = 8."
    ),
    ("peers", "pytorch-grad-cam"): (
        "As the row above: the factor to PyTorch's own forward is what its code decides."
    ),
    ("peers", "captum"): (
        "It takes 1.0 to 1.2 times PyTorch's forward here, so the ratio follows from PyTorch's."
    ),
    ("peers", "torch-cam"): "As captum.",
}
"""By part and ratio: why rows miss the target, beside their profiles."""


def missed(part: str, row: Row) -> list[str]:
    """Names of the row's ratios that miss a target."""
    return [t.ratio for t in TARGETS if t.part == part and t.covers(row) and not t.reached(row)]
