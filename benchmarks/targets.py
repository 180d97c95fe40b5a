"""A `Target` is a bound on a figure; `WHY` explains the rows that miss one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from .book import Row


@dataclass(frozen=True)
class Target:
    """A bound on one ratio of a part's rows.

    Attributes:
        part: Name of the part.
        ratio: Name in the row's ratios.
        text: Description of the ratio.
        bound: The value.
        at_most: Whether the bound is an upper one; else a lower one.
        rows: Whether it is for a row.
    """

    part: str
    ratio: str
    text: str
    bound: float
    at_most: bool = True
    rows: Callable[[Row], bool] = lambda _: True

    def covers(self, row: Row) -> bool:
        """Whether the row has the ratio and the bound is for it."""
        return self.ratio in row["ratios"] and self.rows(row)

    def value(self, row: Row) -> float:
        """The ratio's median."""
        return row["ratios"][self.ratio][1]

    def reached(self, row: Row) -> bool:
        """Whether the median keeps the bound."""
        return self.value(row) <= self.bound if self.at_most else self.value(row) >= self.bound


def _linear(row: Row) -> bool:
    return row["linear_head"]


def _last_block(row: Row) -> bool:
    """Whether the layer lies in front of a block of a ViT."""
    return row["model"].startswith("vit")


def _others(row: Row) -> bool:
    return not _linear(row)


def _deeper(row: Row) -> bool:
    return _others(row) and not _last_block(row)


def _floor() -> Iterator[Target]:
    text = "extra time / forward of the part above"
    bounds = {"convolutions": 1.15, "light": 1.5, "dense and tokens": 1.3}
    for group, bound in bounds.items():
        rows = partial(_in_group, group)
        yield Target("floor", "explained", f"{group}, {text}", bound, rows=rows)
    yield Target("floor", "predict", f"{_FLOOR}, K = 0 / plain forward", 1.02)
    yield Target("floor", "four", f"{_FLOOR}, extra time of a map, K = 4 / K = 1", 1.0)
    yield Target("floor", "eight", f"{_FLOOR}, extra time of a map, N = 8 / N = 1", 1.0)
    yield Target("floor", "memory", f"{_FLOOR}, peak memory / that of the plain model", 1.25)


def _in_group(group: str, row: Row) -> bool:
    return row["group"] == group


_FLOOR = "inner layers of all kinds"
_AUTO = "automatic layer, explained / plain forward"
_PEER = "/ explained run"
TARGETS = (
    Target("last", "explained", f"{_AUTO}, K = 1, pool + linear head", 1.02, rows=_linear),
    Target("last", "explained", f"{_AUTO}, K = 1, other heads", 1.03, rows=_deeper),
    Target("last", "explained", f"{_AUTO}, K = 1, last block of a ViT", 1.08, rows=_last_block),
    Target("last", "five", f"{_AUTO}, K = 5, pool + linear head", 1.05, rows=_linear),
    Target("last", "five", f"{_AUTO}, K = 5, other heads", 1.25, rows=_others),
    Target("last", "predict", "automatic layer, K = 0 / plain forward", 1.02),
    Target("inner", "predict", "inner layers, K = 0 / plain forward", 1.02),
    Target("inner", "explained", "inner layers, extra time / forward of the part above", 1.15),
    *_floor(),
    Target("attention", "rollout", "rollout / plain forward", 1.1),
    Target("attention", "legrad", "LeGrad over all blocks / plain forward", 2.2),
    Target("adjoint", "ours_of_theirs", "inner layers, extra time / that of onnx-ad", 0.5),
    Target("memory", "artifact", "peak memory / that of the plain session", 1.05),
    Target("size", "artifact", "file size / plain file", 1.02),
    Target("export", "graftcam", "`export` unverified / `torch.onnx.export`", 1.3),
    Target("imports", "package", "`import graftcam.runtime` / its libraries", 1.05),
    Target("imports", "all", "`Explainer`'s import with its libraries / libraries", 1.05),
    Target("peers", "torch", f"PyTorch's forward {_PEER}", 1.0, at_most=False),
    Target("peers", "pytorch-grad-cam", f"pytorch-grad-cam {_PEER}", 4.0, at_most=False),
    Target("peers", "captum", f"captum {_PEER}", 1.5, at_most=False),
    Target("peers", "torch-cam", f"torch-cam {_PEER}", 1.5, at_most=False),
    Target("cold", "time", "process start to first map / pytorch-grad-cam", 0.333),
    Target("cold", "memory", "peak memory of it / pytorch-grad-cam", 0.333),
    Target("detector", "0", "boxes, K = 0 / plain forward", 1.03),
    Target("detector", "extra", "boxes, K = 1, extra time / forward of the part above", 1.15),
)  # fmt: skip


WHY = {
    ("last", "explained"): (
        "The last layer of a ViT that has a grid is in its last block. The adjoint of this block "
        "has as many matrix products as the block itself: a twelfth of the model. VGG's linear "
        "layers are read once more. The other models' added nodes take about 0.5 ms: what they "
        "miss lies within their quartiles."
    ),
    ("last", "five"): (
        "Five cotangents need five times the matrix products of the part above the layer: the last "
        "block of a ViT, the linear layers of VGG. Only behind a pool and one linear layer do they "
        "cost nothing."
    ),
    ("last", "predict"): (
        "The added nodes take 0.4 to 4 ms, although their tensors are empty. These rounds cannot "
        "resolve that: their quartiles are 6 to 14 % apart."
    ),
    ("inner", "predict"): (
        "A mask reads its activation in plain order. ONNX Runtime copies it from its blocked "
        "layout for that (ReorderOutput), also for K = 0; several hundred nodes on empty tensors "
        "take 0.01 ms each."
    ),
    ("inner", "explained"): (
        "The convolutions of the adjoint take as long as those of the forward pass, so an extra of "
        "about 1 is the minimum. Further costs are masks (Greater, Cast, Mul, or a SiLU's slope), "
        "which the forward pass has fused into its convolutions; the copies between blocked and "
        "plain order around them; and strided convolutions, whose ConvTranspose is slower than the "
        "convolution, but faster than any other form that was tried."
    ),
    ("attention", "rollout"): (
        "The file also makes Grad-CAM at the automatic layer, and the adjoint of the last block "
        "that it needs costs as much alone. What the rollout adds to it, a row times a matrix for "
        "each block, these rounds cannot resolve."
    ),
    ("floor", "explained"): (
        '"The floor" lists for each row what its time above the multiplications goes to.'
    ),
    ("floor", "predict"): "As for the inner layers above.",
    ("floor", "memory"): (
        "The peak is that of loading, the same for K = 0: ONNX Runtime computes the flipped "
        "weights of the adjoint and stores them once more in its blocked layout, beside those of "
        "the forward. A file that `graftcam optimize` wrote has them ready."
    ),
    ("adjoint", "ours_of_theirs"): (
        "Half of onnx-ad's time would be below the minimum that the row above explains."
    ),
    ("memory", "artifact"): (
        "ONNX Runtime packs the weights of a linear layer for the forward product. The adjoint "
        "needs the original weights, so both copies are in memory (VGG16: 0.5 GB). The other rows "
        "are steps in which ONNX Runtime's arena grows."
    ),
    ("imports", "all"): (
        "What the signatures of `Explainer` need is imported with it; the rest of the runtime when "
        "the first artifact is opened."
    ),
    ("peers", "torch"): (
        "ONNX Runtime's own forward is no faster than PyTorch's on these models at N = 8."
    ),
    ("peers", "pytorch-grad-cam"): (
        "As in the row above: the package's time follows from PyTorch's own forward."
    ),
    ("peers", "captum"): (
        "It takes 1.0 to 1.2 times PyTorch's forward here, so the ratio follows from PyTorch's. "
        "Where PyTorch's forward is faster than ONNX Runtime's (ConvNeXt-T, Swin-T at N = 8), "
        "captum is faster than graftcam."
    ),
    ("peers", "torch-cam"): "As for captum.",
}
"""By part and ratio: why rows miss the target."""


def missed(part: str, row: Row) -> list[str]:
    """Return the names of the row's ratios that miss a target."""
    return [t.ratio for t in TARGETS if t.part == part and t.covers(row) and not t.reached(row)]
