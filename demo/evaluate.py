"""`measure` computes how well a model finds digits, and whether its Grad-CAM maps point at them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from .data import LABELS, MEAN, SIZE, STD, Canvases
from .run import points_at

_BATCH = 64


@dataclass(frozen=True)
class Figures:
    """Results on one set of canvases.

    Attributes:
        accuracy: float64 [10], share of correct yes-or-no answers per class, threshold logit 0.
        precision: float64 [10], average precision per class.
        exact: Share of canvases whose whole set of classes is correct.
        pointing: float64 [10], share of present digits per class whose map peaks in their box.
        hit_rate: The same over all present digits.
    """

    accuracy: NDArray[np.float64]
    precision: NDArray[np.float64]
    exact: float
    pointing: NDArray[np.float64]
    hit_rate: float

    def __str__(self) -> str:
        rows = [f"{'class':<6} accuracy  average precision  pointing game"]
        for row in zip(LABELS, self.accuracy, self.precision, self.pointing, strict=True):
            rows.append("{:<6} {:8.4f} {:18.4f} {:14.4f}".format(*row))
        means = (self.accuracy.mean(), self.precision.mean(), self.hit_rate)
        rows.append("{:<6} {:8.4f} {:18.4f} {:14.4f}".format("all", *means))
        return "\n".join([*rows, f"exact set of classes: {self.exact:.4f}"])


def to_input(images: NDArray[np.uint8]) -> torch.Tensor:
    """Normalise images: uint8 [N, H, W, 3] to float32 [N, 3, H, W]."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255.0
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (MEAN, STD))
    return ((pixels - mean) / std).contiguous()


def grad_cam(
    model: nn.Module, layer: nn.Module, x: torch.Tensor, classes: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute Grad-CAM with autograd (Selvaraju et al., 2017).

    Args:
        model: In evaluation mode, float [N, 3, H, W] to logits float [N, C].
        layer: The target layer, a submodule of ``model``.
        x: float [N, 3, H, W].
        classes: int64 [N], the class to explain for each image.

    Returns:
        Heatmaps, float [N, h, w], non-negative and not normalised; logits, float [N, C].
    """
    activations: list[torch.Tensor] = []
    handle = layer.register_forward_hook(lambda *call: activations.append(call[2]))
    try:
        logits = model(x)
    finally:
        handle.remove()
    score = logits.gather(1, classes[:, None]).sum()
    (gradient,) = torch.autograd.grad(score, activations)
    weights = gradient.mean((2, 3), keepdim=True)
    return (weights * activations[0]).sum(1).relu().detach(), logits.detach()


def measure(model: nn.Module, layer: nn.Module, canvases: Canvases) -> Figures:
    """Measure a model on canvases; ``layer`` is the target layer of the pointing game."""
    from sklearn.metrics import average_precision_score

    model.eval()
    hits = np.zeros(len(LABELS))
    shown = [(i, box) for i, boxes in enumerate(canvases.boxes) for box in boxes]
    logits = np.empty(canvases.targets.shape, np.float32)
    for start in range(0, len(shown), _BATCH):
        part = shown[start : start + _BATCH]
        indices = [i for i, _ in part]
        classes = torch.tensor([box.label for _, box in part])
        heatmaps, scores = grad_cam(model, layer, to_input(canvases.images[indices]), classes)
        logits[indices] = scores.numpy()
        grown = nn.functional.interpolate(
            heatmaps[:, None], (SIZE, SIZE), mode="bilinear", align_corners=False
        )
        for heatmap, (_, box) in zip(grown[:, 0].numpy(), part, strict=True):
            hits[box.label] += points_at(heatmap, box)
    targets = canvases.targets > 0.5
    right = (logits > 0.0) == targets
    return Figures(
        accuracy=right.mean(0),
        precision=np.array(
            [average_precision_score(t, s) for t, s in zip(targets.T, logits.T, strict=True)]
        ),
        exact=float(right.all(1).mean()),
        pointing=hits / targets.sum(0),
        hit_rate=float(hits.sum() / len(shown)),
    )
