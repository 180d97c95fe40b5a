"""Training transforms as records: torchvision's presets, timm's data configurations."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast, get_args

import numpy as np
import numpy.typing as npt

from ...runtime.spec import Interpolation, Preprocess
from ..errors import CaptureError, in_line

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
    try:
        timms = isinstance(transform, Mapping)
        record = (from_timm if timms else from_torchvision)(cast("Any", transform))
    except (KeyError, TypeError, ValueError):  # a mapping that is no data configuration
        record = None
    if record is None:
        remedy = "describe it with graftcam.exporter.Preprocess, or give 'imagenet'"
        if isinstance(getattr(transform, "transforms", transform), functools.partial):
            remedy = "give the result of a call, weights.transforms()"
        raise CaptureError(f"cannot store {in_line(transform)} as preprocessing; {remedy}")
    return _checked(record)


def _checked(transform: Preprocess) -> Preprocess:
    """The record itself, if all its values can be."""
    mean, std = transform.mean, transform.std
    size, resize = transform.size, transform.resize
    modes, filters = ("shorter", "longer", "exact"), get_args(Interpolation)
    fine = {
        "size": (_numbers(size, int) and len(size) == 2, "height and width in whole pixels"),
        "resize": (
            resize is None or (_numbers(resize, int) and len(resize) <= 2),
            "None, or one or two sides in whole pixels",
        ),
        "resize_mode": (transform.resize_mode in modes, ", ".join(modes)),
        "interpolation": (transform.interpolation in filters, ", ".join(filters)),
        "scale": (_numbers([transform.scale]), "a number above 0, such as 1 / 255"),
        "mean": (_numbers(mean, least=-math.inf) and len(mean) in (1, 3), "1 or 3 numbers"),
        "std": (
            _numbers(std) and len(std) == len(mean), f"{len(mean)} numbers above 0, as many as mean"
        ),
        "layout": (transform.layout in ("nchw", "nhwc"), "nchw or nhwc"),
    }  # fmt: skip
    for name, (right, remedy) in fine.items():
        if not right:
            value = in_line(getattr(transform, name))
            raise CaptureError(f"the preprocessing cannot have {name}={value}; give {remedy}")
    return transform


def _numbers(values: Sequence[Any], kind: type = float, least: float = 0) -> bool:
    """Whether these are finite numbers above ``least``: whole ones, if ``kind`` is int."""
    kinds = (int,) if kind is int else (int, float)
    return all(
        isinstance(value, kinds) and not isinstance(value, bool) and least < value < math.inf
        for value in values
    )


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
