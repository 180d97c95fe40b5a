"""Small models whose outputs are no plain class scores."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Detector(nn.Module):
    """A dense detector's raw output, in one of the forms that are in use.

    Args:
        form: ``packed`` [N, anchors * (5 + classes), h, w] as YOLOv3's layers give it;
            ``rows`` [N, positions, 4 + classes] as many exports do; ``chances``
            [N, 4 + classes, positions] as YOLOv8's, boxes and the classes' sigmoids joined;
            ``turned`` the same as [N, positions, 4 + classes].
        classes: Their number.
        anchors: Boxes for each cell, of ``packed``.
    """

    def __init__(self, form: str, classes: int = 3, anchors: int = 2) -> None:
        super().__init__()
        self.form = form
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.act = nn.SiLU()
        self.neck = nn.Conv2d(8, 8, 3, padding=1)
        self.boxes = nn.Conv2d(8, 4, 1)
        self.classes = nn.Conv2d(8, classes, 1)
        self.packed = nn.Conv2d(8, anchors * (5 + classes), 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.tanh(self.neck(self.act(self.stem(x))))
        if self.form == "packed":
            return self.packed(y)
        boxes, logits = self.boxes(y).flatten(2), self.classes(y).flatten(2)
        if self.form == "rows":
            return torch.cat([boxes, logits], 1).transpose(1, 2)
        if self.form == "turned":
            return torch.cat([boxes.transpose(1, 2), logits.transpose(1, 2).sigmoid()], -1)
        return torch.cat([boxes, logits.sigmoid()], 1)


class Heads(nn.Module):
    """Two class vectors from different depths, in a tuple, and an embedding of rank 3."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.act = nn.Tanh()
        self.deep = nn.Conv2d(6, 8, 3, padding=1)
        self.early = nn.Linear(6, 4)
        self.late = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> Any:
        y = self.act(self.stem(x))
        z = torch.sigmoid(self.deep(y))
        return self.late(z.mean((2, 3))), self.early(y.mean((2, 3))), z.mean(3)


class Prior(nn.Module):
    """A layer that the image does not reach, beside one that it does."""

    def __init__(self) -> None:
        super().__init__()
        self.prior = nn.Parameter(torch.zeros(1, 4, 8, 8))
        self.layer = nn.Conv2d(4, 4, 3, padding=1)
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layer(self.prior.expand(x.shape[0], -1, -1, -1))
        return self.head((y + self.stem(x)).mean((2, 3)))
