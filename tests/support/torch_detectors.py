"""Small PyTorch detectors, and the gradients of their scores by autograd."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

SIDE = (32, 64)


class Backbone(nn.Module):
    """Maps of strides 4 and 8."""

    out_channels = 32

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.fine, self.coarse = (
            nn.Sequential(nn.Conv2d(channels, 32, 3, stride=2, padding=1), nn.Tanh())
            for channels in (8, 32)
        )

    def forward(self, images: torch.Tensor) -> OrderedDict[str, torch.Tensor]:
        fine = self.fine(torch.tanh(self.stem(images)))
        return OrderedDict(fine=fine, coarse=self.coarse(fine))


class OwnDetector(nn.Module):
    """A dense detector of two levels, whose head is shared: class 0 to 2, and distances of edges.

    It returns [N, 4 + classes, places], as the YOLO family does.
    """

    names: ClassVar[dict[int, str]] = {0: "cat", 1: "dog", 2: "bird"}

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone = Backbone()
        self.neck = nn.ModuleList(
            [nn.Sequential(nn.Conv2d(32, 16, 1), nn.Tanh()) for _ in range(2)]
        )
        self.classes = nn.Conv2d(16, 3, 3, padding=1)
        self.edges = nn.Conv2d(16, 4, 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits, boxes = [], []
        for place, one in enumerate(self.backbone(images).values()):
            level, stride = self.neck[place](one), 4.0 * 2**place
            logits.append(self.classes(level).flatten(2))
            rows, columns = level.shape[2:]
            sides = torch.arange(rows) + 0.5, torch.arange(columns) + 0.5
            y, x = torch.meshgrid(*sides, indexing="ij")
            centre = torch.stack([x.flatten(), y.flatten()])[None]
            left_top, right_bottom = self.edges(level).flatten(2).exp().chunk(2, 1)
            middle = centre + (right_bottom - left_top) / 2
            boxes.append(torch.cat([middle, left_top + right_bottom], 1) * stride)
        return torch.cat([torch.cat(boxes, 2), torch.cat(logits, 2).sigmoid()], 1)


class Queries(nn.Module):
    """Four queries that attend to the tokens of one map: class logits, and boxes of a Sigmoid.

    Args:
        classes: Number of scores of a query.
        refines: Whether boxes refine reference points that the image gives.
    """

    def __init__(self, classes: int = 4, *, refines: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 8, 4, stride=4)
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.Tanh())
        self.queries = nn.Parameter(torch.randn(4, 8))
        self.classes, self.boxes = nn.Linear(8, classes), nn.Linear(8, 4)
        self.points = nn.Linear(8, 4) if refines else None

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        tokens = self.body(torch.tanh(self.stem(images))).flatten(2).transpose(1, 2)
        weights = (self.queries @ tokens.transpose(1, 2)).softmax(-1)
        found = weights @ tokens
        boxes = self.boxes(found)
        if self.points is not None:
            boxes = boxes + self.points(torch.tanh(found))
        return {"logits": self.classes(found), "pred_boxes": boxes.sigmoid(), "hidden": found}


def images(count: int = 1) -> torch.Tensor:
    """Fixed noise from 0 to 1."""
    return torch.rand(count, 3, *SIDE, generator=torch.Generator().manual_seed(1))


def autograd(
    module: nn.Module,
    layers: Sequence[str],
    score: Callable[[Any], torch.Tensor],
    example: torch.Tensor,
) -> list[npt.NDArray[np.float64]]:
    """Gradients, in float64, of a scalar of a module's result with respect to layers' outputs."""
    module, kept = copy.deepcopy(module).double().eval(), dict[str, torch.Tensor]()

    def keep(name: str, output: torch.Tensor) -> None:
        kept[name] = output if output.requires_grad else output.requires_grad_()

    for name in layers:
        module.get_submodule(name).register_forward_hook(
            lambda _, __, output, name=name: keep(name, output)
        )
    scalar = score(module(example.double()))
    found = torch.autograd.grad(scalar, [kept[name] for name in layers], allow_unused=True)
    return [
        np.zeros(kept[name].shape) if one is None else one.numpy()
        for name, one in zip(layers, found, strict=True)
    ]


class TopDown(nn.Module):
    """A neck that adds the coarse map to the fine one."""

    def forward(self, maps: OrderedDict[str, torch.Tensor]) -> OrderedDict[str, torch.Tensor]:
        larger = nn.functional.interpolate(maps["coarse"], scale_factor=2.0)
        return OrderedDict(fine=torch.tanh(maps["fine"] + larger), coarse=maps["coarse"] * 2)


def with_neck() -> OwnDetector:
    """The detector with a neck, whose backbone lies before its heads' inputs."""
    module = OwnDetector().eval()
    module.backbone = nn.Sequential(module.backbone, TopDown())  # type: ignore[assignment]
    return module


# Those of torchvision

# All boxes are returned, and images keep their size.
KEEP_ALL = {"score_thresh": 0.0, "nms_thresh": 1.0, "detections_per_img": 10**6,
         "topk_candidates": 10**6, "min_size": 32, "max_size": 64}  # fmt: skip


def anchors() -> Any:
    """One anchor for each place of both levels."""
    from torchvision.models.detection.anchor_utils import AnchorGenerator

    return AnchorGenerator(((8,), (16,)), ((1.0,), (1.0,)))


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    """Make a detector with random weights that tell boxes apart."""
    torch.manual_seed(0)
    made = make().eval()
    for one in made.parameters():  # their biases make all scores small and alike
        torch.nn.init.normal_(one, std=0.1)
    return made


def retinanet() -> nn.Module:
    """A RetinaNet of four classes."""
    from torchvision.models.detection.retinanet import RetinaNet

    return seeded(lambda: RetinaNet(Backbone(), 4, anchor_generator=anchors(), **KEEP_ALL))
