"""`BeforeNms` is a torchvision detector without its last step, which drops overlapping boxes.

That step has no gradient, and its number of boxes depends on the image. What it works on has both:
class scores and a box for each anchor. They are the outputs here, and the numbers are the model's.

The parts are found by what torchvision's detectors have in common (``transform``, ``backbone``,
``anchor_generator``, ``head``, ``box_coder``); torchvision itself is not needed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ..errors import CaptureError

_NEEDED = ("transform", "backbone", "head", "anchor_generator", "box_coder")
_SURE = -1e-6  # the logarithm of a probability of 1, as far as float32 can tell
_NEVER = 100.0  # taken off the logit of the background, which no box may be named after


class BeforeNms(nn.Module):
    """A one-stage detector up to its scores and boxes.

    ``forward`` takes images [N, 3, height, width] of one size, from 0 to 1, and returns a dict:
    ``scores`` [N, anchors, classes], probabilities with the model's own class numbers, and
    ``boxes`` [N, anchors, 4], left, top, right and bottom in pixels. It scales no images.

    Args:
        detector: FCOS, RetinaNet or SSD.
        image: An example of the images; its size is the one that anchors are made for.

    Raises:
        CaptureError: It is another kind of model.
    """

    mean: torch.Tensor
    std: torch.Tensor
    anchors: torch.Tensor

    def __init__(self, detector: nn.Module, image: torch.Tensor) -> None:
        super().__init__()
        check_parts(detector)
        parts: Any = detector
        self.backbone, self.head = parts.backbone, parts.head
        self.coder: Any = parts.box_coder
        # Hard negatives are mined of a class for the background; a focal loss needs none.
        self.has_background = hasattr(detector, "neg_to_pos_ratio")
        _check_size(image, int(parts.transform.size_divisible))
        mean, std = parts.transform.image_mean, parts.transform.image_std
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))
        with torch.no_grad():
            prepared = self._prepared(image[:1].float())
            images = _Images(prepared, [(image.shape[2], image.shape[3])])
            anchors = parts.anchor_generator(images, self._features(prepared))
        self.register_buffer("anchors", anchors[0])

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return scores and boxes of all anchors."""
        found = self.head(self._features(self._prepared(images)))
        logits, codes = found["cls_logits"], found["bbox_regression"]
        if "bbox_ctrness" in found:
            logits = _logits_of_root(logits, found["bbox_ctrness"])
        elif self.has_background:
            logits = _logits_of_softmax(logits)
        return {"scores": logits.sigmoid(), "boxes": self._decoded(codes)}

    def _prepared(self, images: torch.Tensor) -> torch.Tensor:
        """The images normalised."""
        return (images - self.mean) / self.std

    def _features(self, images: torch.Tensor) -> list[torch.Tensor]:
        maps = self.backbone(images)
        return [maps] if isinstance(maps, torch.Tensor) else list(maps.values())

    def _decoded(self, codes: torch.Tensor) -> torch.Tensor:
        """Boxes [N, anchors, 4] of their codes."""
        rows = self.anchors.expand(codes.shape[0], -1, -1).reshape(-1, 4)
        decode = getattr(self.coder, "decode_single", None) or self.coder.decode
        return decode(codes.reshape(-1, 4), rows).reshape(codes.shape)


class _Images:
    """What an anchor generator reads of images."""

    def __init__(self, tensors: torch.Tensor, sizes: list[tuple[int, int]]) -> None:
        self.tensors, self.image_sizes = tensors, sizes


def _check_size(image: torch.Tensor, divisor: int) -> None:
    """Check that the model pads no images: its maps would cover more than the input."""
    sides = image.shape[2:]
    if any(side % divisor for side in sides):
        given, fit = (
            "x".join(map(str, pair))
            for pair in (sides, [-(-s // divisor) * divisor for s in sides])
        )
        raise CaptureError(
            f"the model pads images to multiples of {divisor} pixels, and {given} is none; give "
            f"example_inputs of {fit}"
        )


def check_parts(detector: nn.Module) -> None:
    """Check that a detector has the parts that are needed.

    Raises:
        CaptureError: It does not; the message says what was found.
    """
    kind = type(detector).__name__
    if hasattr(detector, "rpn") and hasattr(detector, "roi_heads"):
        raise CaptureError(
            f"{kind} has two stages: the classes of its second stage are those of the boxes that "
            "the first one's suppression leaves, so that no score exists before it; explain a "
            "detector of one stage (FCOS, RetinaNet, SSD), or give a module whose forward returns "
            "scores and boxes of fixed proposals"
        )
    missing = [name for name in _NEEDED if not hasattr(detector, name)]
    if missing:
        raise CaptureError(
            f"detector='before_nms' is for torchvision's FCOS, RetinaNet and SSD; {kind} has no "
            f"{', '.join(missing)}: give a module whose forward returns scores and boxes before "
            "their suppression"
        )


def _logits_of_root(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """The logits of the root of the product of two probabilities, which is FCOS' score."""
    log = (functional.logsigmoid(one) + functional.logsigmoid(other)) / 2
    # 1 - p = (1 - p * p) / (1 + p), in which nothing cancels out.
    against = torch.sigmoid(-one) + torch.sigmoid(one) * torch.sigmoid(-other)
    return log - torch.log(against) + torch.log1p(torch.exp(log))


def _logits_of_softmax(scores: torch.Tensor) -> torch.Tensor:
    """The logits of a softmax' probabilities; the background, class 0, is never the best class."""
    log = functional.log_softmax(scores, dim=-1).clamp(max=_SURE)
    logits = log - torch.log(-torch.expm1(log))
    return torch.cat([logits[..., :1] - _NEVER, logits[..., 1:]], dim=-1)
