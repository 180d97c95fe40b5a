"""`as_preprocess` turns a training transform of any kind into the record that is stored."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from ...runtime.errors import InputError
from ...runtime.inputs.preprocess_words import Unsized, in_words
from ...runtime.limits import TEXT_BYTES
from ...runtime.reading import read_file
from ...runtime.records import faults_of
from ...runtime.spec import Preprocess
from ...runtime.strict_json import read_json
from ..errors import CaptureError, in_line
from .attribute import attribute, called
from .image_processors import from_processor, processor_config
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
    if isinstance(transform, Unsized):
        _checked(transform.sized(1, 1, "nchw"))  # what does not depend on the size
    if transform is None or isinstance(transform, Unsized):
        return transform
    if isinstance(transform, Preprocess):
        return _checked(transform)
    steps = steps_of(transform)
    if steps is not None:
        return _checked(from_steps(steps))
    config = processor_config(transform)
    try:
        if config is not None:
            record = from_processor(config)
        else:
            timms = isinstance(transform, Mapping)
            record = (from_timm if timms else from_preset)(transform)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):  # odd settings
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
        try:
            return in_words(text)
        except InputError as error:
            raise CaptureError(f"{error}; or give a .json file, or package.module:name") from error
    made = attribute(module, name)
    return called(made, text) if inspect.isfunction(made) else made


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
    inner = settings.get("pretrained_cfg")  # timm's config.json
    settings = cast("dict[str, Any]", inner) if isinstance(inner, dict) else settings
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
    """Return the record itself, if all its values can be.

    Raises:
        CaptureError: One has a wrong type, is out of its bounds, or does not fit another one.
    """
    faults = list(faults_of(transform))
    one_side = transform.resize_mode in ("shorter", "longer")
    if not faults and one_side and len(transform.resize or ()) > 1:
        # A record may have it: the runtime reads the first side.
        faults = [("resize", f"one side, or a resize_mode other than {transform.resize_mode}")]
    for name, expected in faults:
        value = in_line(getattr(transform, name))
        raise CaptureError(f"the preprocessing cannot have {name}={value}; give {expected}")
    return transform


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
