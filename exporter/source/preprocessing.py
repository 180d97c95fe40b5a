"""`as_preprocess` turns a training transform of any kind into the record that is stored."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeAlias, cast, get_args

import numpy as np
import numpy.typing as npt

from ...runtime.limits import TEXT_BYTES
from ...runtime.reading import read_file
from ...runtime.spec import Anchor, Channels, Interpolation, Preprocess, ResizeMode
from ...runtime.strict_json import read_json
from ..errors import CaptureError, in_line
from .attribute import attribute
from .image_processors import from_processor, processor_config
from .preprocess_words import WHITE, Unsized, in_words
from .torch_transforms import from_preset, from_steps, from_timm, steps_of

Transform: TypeAlias = Callable[[npt.NDArray[np.uint8]], npt.NDArray[Any]]
"""From an RGB image, uint8 [H, W, 3], to the model's input without the batch axis."""


def as_preprocess(transform: Any) -> Preprocess | Unsized | None:
    """Turn a training transform into the record that the artifact stores.

    Args:
        transform: A `Preprocess`; a Compose of torchvision's transforms (v1, v2, timm's); a
            torchvision classifier weights' ``transforms()``; timm's ``resolve_data_config``; an
            image processor of transformers; the path of a JSON file with the settings of such a
            processor, timm's or a `Preprocess`' fields; ``package.module:name`` of one of these;
            words such as ``"imagenet"`` (see `in_words`); or None.

    Raises:
        CaptureError: Another transform, a step that the runtime does not have, or a `Preprocess`
            with a value that it cannot have.
    """
    if isinstance(transform, (str, Path)):
        transform = read_transform(transform)
    if transform is None or isinstance(transform, Unsized):
        return transform
    if isinstance(transform, Preprocess):
        return _checked(transform)
    steps = steps_of(transform)
    if steps is not None:
        return _checked(from_steps(steps))
    config = processor_config(transform)
    if config is not None:
        return _checked(from_processor(config))
    try:
        timms = isinstance(transform, Mapping)
        record = (from_timm if timms else from_preset)(transform)
    except (KeyError, TypeError, ValueError):  # a mapping that is no data configuration
        record = None
    if record is None:
        raise CaptureError(
            f"cannot store {in_line(transform)} as preprocessing; {_remedy(transform)}"
        )
    return _checked(record)


def _remedy(transform: Any) -> str:
    if isinstance(getattr(transform, "transforms", transform), functools.partial):
        return "give the result of a call, weights.transforms()"
    if isinstance(transform, Mapping):
        known = "input_size, mean, std, and an interpolation of nearest, bilinear and bicubic"
        return f"timm's data configuration has {known}"
    if type(transform).__name__ in ("SemanticSegmentation", "ObjectDetection"):
        return (
            "it gives images of another size for each photograph; give a Compose that ends with "
            "Resize((height, width)), ToTensor() and its Normalize"
        )
    return "describe it with graftcam.exporter.Preprocess, or give 'imagenet'"


def read_transform(source: str | Path) -> Any:
    """Read a transform from a JSON file, ``package.module:name`` or words.

    Raises:
        CaptureError: The file cannot be read, the attribute cannot be imported, or a word is
            unknown.
    """
    text = str(source)
    path = Path(text)
    if path.is_dir() and (path / "preprocessor_config.json").is_file():
        path = path / "preprocessor_config.json"
    if isinstance(source, Path) or path.suffix == ".json" or path.is_file():
        return _of_json(path)
    module, colon, name = text.partition(":")
    if not colon:
        return in_words(text)
    made = attribute(module, name)
    return made() if inspect.isfunction(made) else made


def _of_json(path: Path) -> Any:
    try:
        data = read_json(read_file(path, CaptureError, TEXT_BYTES).decode("utf-8-sig"))
    except ValueError as error:
        raise CaptureError(f"cannot read the preprocessing from {path}: {error}") from error
    if not isinstance(data, dict):
        raise CaptureError(
            f"{path} holds a {type(data).__name__}, not the settings of a transform by name"
        )
    settings = cast("dict[str, Any]", data)
    settings = settings.get("pretrained_cfg", settings)  # timm's config.json
    known = {entry.name for entry in fields(Preprocess)} - {"embedded"}
    if {"input_size", "image_processor_type", "feature_extractor_type", "do_resize"} & set(
        settings
    ):
        return settings
    unknown = sorted(set(settings) - known)
    if unknown or not settings:
        raise CaptureError(
            f"{path} has the unknown settings {unknown}; those of a Preprocess are "
            f"{', '.join(sorted(known))}"
        )
    return Preprocess(**settings)


def _checked(transform: Preprocess) -> Preprocess:
    """The record itself, if all its values can be."""
    mean, std = transform.mean, transform.std
    size, resize = transform.size, transform.resize
    modes, filters = get_args(ResizeMode), get_args(Interpolation)
    fill, longest = transform.fill, transform.longest
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
        "longest": (longest is None or _numbers([longest], int), "None, or whole pixels"),
        "antialias": (transform.antialias in (None, False), "None or False"),
        "anchor": (transform.anchor in (None, *get_args(Anchor)), "None, lower or top_left"),
        "fill": (
            fill is None or (_numbers(fill, int, -1) and len(fill) in (1, len(mean))
                             and max(fill) <= WHITE),
            "None, or whole levels of 0 to 255, one or one for each channel",
        ),
        "channels": (transform.channels in (None, *get_args(Channels)), "None, bgr or grey"),
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
    if isinstance(transform, str) and ":" in transform:
        transform = read_transform(transform)
    transform = getattr(transform, "image_processor", transform)
    if not callable(transform) and not isinstance(transform, Mapping):
        return None  # nothing that runs: Pillow need not be loaded
    processes = processor_config(transform) is not None
    try:
        from PIL import Image

        if isinstance(transform, Mapping):
            if processes:
                return None
            from timm.data import create_transform

            transform = create_transform(**cast("Mapping[str, Any]", transform))
    except (ImportError, TypeError):
        return None
    run: Callable[..., Any] = transform
    if processes:
        return lambda image: run(Image.fromarray(image), return_tensors="np")["pixel_values"][0]
    return lambda image: np.asarray(run(Image.fromarray(image)))
