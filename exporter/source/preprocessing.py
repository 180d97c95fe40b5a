"""Training transforms as records: torchvision's presets, timm's data configurations."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast, get_args

import numpy as np
import numpy.typing as npt

from ...runtime.spec import Interpolation, Preprocess
from ..errors import CaptureError

Transform: TypeAlias = Callable[[npt.NDArray[np.uint8]], npt.NDArray[Any]]
"""From an RGB image, uint8 [H, W, 3], to the model's input without the batch axis."""


def as_preprocess(transform: Any) -> Preprocess | None:
    """Turn a training transform into the record that the artifact stores.

    Args:
        transform: A `Preprocess`, a torchvision classifier weights' ``transforms()``, timm's
            ``resolve_model_data_config(model)``, ``"imagenet"``, or None.

    Raises:
        CaptureError: Another transform, one that the runtime has no resize for, or a `Preprocess`
            with a value that it cannot have.
    """
    if transform is None or isinstance(transform, Preprocess):
        return None if transform is None else _checked(transform)
    if isinstance(transform, str) and transform == "imagenet":
        return Preprocess()
    if isinstance(transform, Mapping):
        record = from_timm(cast("Mapping[str, Any]", transform))
    else:
        record = from_torchvision(transform)
    if record is None:
        raise CaptureError(
            f"cannot store {transform!r} as preprocessing; describe it with "
            "graftcam.exporter.Preprocess, or give 'imagenet'"
        )
    return record


def _checked(transform: Preprocess) -> Preprocess:
    """The record itself, if all its values can be."""
    sizes = [*transform.size, *(transform.resize or [])]
    fine = {
        "size": len(transform.size) == 2 and all(side > 0 for side in sizes),
        "resize": transform.resize is None or len(transform.resize) <= 2,
        "resize_mode": transform.resize_mode in ("shorter", "longer", "exact"),
        "interpolation": transform.interpolation in get_args(Interpolation),
        "mean": len(transform.mean) in (1, 3),
        "std": len(transform.std) == len(transform.mean) and all(transform.std),
        "layout": transform.layout in ("nchw", "nhwc"),
    }
    for name, right in fine.items():
        if not right:
            raise CaptureError(
                f"the preprocessing cannot have {name}={getattr(transform, name)!r}; "
                "see graftcam.exporter.Preprocess"
            )
    return transform


def original_of(transform: Any) -> Transform | None:
    """A training transform as it was given, to compare the record with; None where it cannot run.

    Args:
        transform: As `as_preprocess` takes it.
    """
    if not (callable(transform) or isinstance(transform, Mapping)):
        return None  # nothing that runs: Pillow need not be loaded
    try:
        from PIL import Image

        if isinstance(transform, Mapping):
            from timm.data import create_transform

            transform = create_transform(**cast("Mapping[str, Any]", transform))
    except (ImportError, TypeError):
        return None
    run: Callable[[Any], Any] = transform
    return lambda image: run(Image.fromarray(image)).numpy()


def from_torchvision(transform: Any) -> Preprocess | None:
    """The ImageClassification preset as a record; None for any other transform."""
    if type(transform).__name__ != "ImageClassification":
        return None
    crop, resize = transform.crop_size[0], transform.resize_size[0]
    interpolation = cast(Interpolation, transform.interpolation.value)
    mean, std = list(transform.mean), list(transform.std)
    return Preprocess(
        size=[crop, crop], resize=[resize], interpolation=interpolation, mean=mean, std=std
    )


def from_timm(config: Mapping[str, Any]) -> Preprocess | None:
    """Timm's data configuration as a record; None where the runtime has no such resize."""
    _, height, width = config["input_size"]
    interpolation, crop = config.get("interpolation", "bicubic"), config.get("crop_mode", "center")
    if interpolation not in ("nearest", "bilinear", "bicubic"):
        return None
    ratio = config.get("crop_pct") or 1.0
    resize = [math.floor(height / ratio), math.floor(width / ratio)]
    if crop == "squash":
        mode = "exact"
    elif crop == "center" and height == width:
        mode, resize = "shorter", resize[:1]
    else:
        return None
    mean, std = list(config["mean"]), list(config["std"])
    return Preprocess("", [height, width], resize, mode, interpolation, mean=mean, std=std)
