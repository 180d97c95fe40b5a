"""These functions read what a PyTorch module shows of a detector: results and class names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from torch import nn

from .torch_inputs import ModuleInputs
from .torch_outputs import tensors_of

_IMAGE_AXES = 4
_LEAST_ENTRIES = 5  # four numbers of a box, and a class
_SUPPRESSED = frozenset({"boxes", "scores"})


def looks_like_detector(result: Any, inputs: ModuleInputs) -> bool:
    """Whether a forward pass on images returns tables of boxes, or maps of several kinds.

    It is a cheap look: the graph decides. Classifiers return [N, classes], and are none.
    """
    image = inputs.image
    if image is None or image.dim() != _IMAGE_AXES:
        return False
    found = [one for one in tensors_of(result) if one.is_floating_point()]
    tables = [one for one in found if one.dim() == 3]
    boxes = any(
        one.shape[2] == 4 and any(other is not one and other.shape[1] == one.shape[1]
                                  for other in tables)
        for one in tables
    )  # fmt: skip
    joined = any(min(one.shape[1:]) >= _LEAST_ENTRIES for one in tables)
    maps = [one for one in found if one.dim() == _IMAGE_AXES]
    return boxes or joined or len(maps) > 1


def is_suppressed(result: Any) -> bool:
    """Whether a result is torchvision's: for each image boxes, labels and scores that are left."""
    if not isinstance(result, (list, tuple)) or not result:
        return False
    return all(
        isinstance(one, Mapping)
        and set(one) >= _SUPPRESSED
        and getattr(one["boxes"], "ndim", 0) == 2
        for one in cast("Sequence[Any]", result)
    )


def module_facts(module: nn.Module) -> dict[str, str]:
    """What a module says of itself, as entries of a file's metadata.

    Class names are those of Ultralytics' models (``names``) and of transformers' (``id2label``).
    """
    config = getattr(module, "config", None)
    names = getattr(module, "names", None) or getattr(config, "id2label", None)
    if not isinstance(names, (Mapping, list, tuple)) or not names:
        return {}
    plain = dict(names) if isinstance(names, Mapping) else dict(enumerate(names))
    if not all(str(number).isdecimal() for number in plain):
        return {}
    return {"names": repr({int(number): str(name) for number, name in plain.items()})}
