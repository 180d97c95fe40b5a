"""A training transform in words, such as ``"caffe, letterbox=0"``, for an input of any size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, Literal

from ..errors import InputError
from ..spec import Preprocess

_IMAGENET = {"mean": Preprocess.mean, "std": Preprocess.std}
PIXELS: dict[str, dict[str, Any]] = {
    "imagenet": {**_IMAGENET, "geometry": "crop"},
    "torch": {**_IMAGENET, "geometry": "squash"},
    "tf": {"scale": 1 / 127.5, "mean": [1.0] * 3, "std": [1.0] * 3, "geometry": "squash"},
    "caffe": {
        "scale": 1.0, "mean": [103.939, 116.779, 123.68], "std": [1.0] * 3, "channels": "bgr",
        "geometry": "squash",
    },
    "unit": {"mean": [0.0], "std": [1.0], "geometry": "squash"},
    "raw": {"scale": 1.0, "mean": [0.0], "std": [1.0], "geometry": "squash"},
}  # fmt: skip
"""What levels become, and how the image gets its size if no word says: the modes of Keras'
``imagenet_utils``, torchvision's ImageNet classifiers, levels in [0, 1], and levels as they are."""

GEOMETRIES = ("crop", "squash", "letterbox")
_LETTERBOX = 114  # the grey that detectors of the YOLO family are trained with
_MORE: dict[str, dict[str, Any]] = {
    "bgr": {"channels": "bgr"},
    "grey": {"channels": "grey"},
    "topleft": {"anchor": "top_left"},
    "opencv": {"antialias": False},
    "pillow": {"antialias": None},
    **{name: {"interpolation": name} for name in ("nearest", "bilinear", "bicubic")},
}
WHITE = 255
WORDS = (*PIXELS, *GEOMETRIES, *_MORE)


@dataclass(frozen=True)
class Unsized:
    """A training transform whose size is that of the model's input.

    Attributes:
        geometry: How the image gets its size: ``crop``: the centre after a resize of the shorter
            side; ``squash``: a resize of both sides; ``letterbox``: a resize that keeps the aspect
            ratio, and padding.
        number: Shorter side before the crop, or level of the padding; None: ``zoom``, or 114.
        fields: Further fields of `Preprocess`.
        input: Name of the input that takes the image; ``""`` for the first.
        zoom: Shorter side before the crop, relative to the input's.
    """

    geometry: Literal["crop", "squash", "letterbox"]
    number: int | None = None
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    input: str = ""
    zoom: float = 256 / 224

    def with_resize(self, shorter: int) -> Unsized:
        """Return the transform with another shorter side before its crop.

        Raises:
            InputError: It has no crop.
        """
        if self.geometry != "crop":
            raise InputError(
                f"--resize {shorter} is the shorter side before a crop, and the preprocessing is a "
                f"{self.geometry}; leave --resize out, or give crop"
            )
        return replace(self, number=shorter)

    def sized(self, height: int, width: int, layout: Literal["nchw", "nhwc"]) -> Preprocess:
        """Return the record for an input of this size."""
        size = [height, width]
        ways: dict[str, dict[str, Any]] = {
            "crop": {"resize": [self.number or min(round(one * self.zoom) for one in size)]},
            "squash": {"resize": size, "resize_mode": "exact"},
            "letterbox": {
                "resize": size, "resize_mode": "fit", "antialias": False,
                "fill": [_LETTERBOX if self.number is None else self.number],
            },
        }  # fmt: skip
        fields = {**ways[self.geometry], **self.fields}
        return Preprocess(self.input, size, layout=layout, **fields)


def in_words(text: str, **fields: Any) -> Unsized:
    """Read a transform in words, separated by commas or spaces.

    Args:
        text: Words of `WORDS`: at most one of `PIXELS`, and one of `GEOMETRIES`; ``crop=256`` gives
            the shorter side before the crop, ``letterbox=0`` the padding's level.
        fields: Fields of `Preprocess` that are known otherwise, ``mean`` and ``std`` in place of a
            word of `PIXELS`; by default the shorter side then becomes the input's.

    Raises:
        InputError: A word is unknown, or they contradict each other.
    """
    found: dict[str, Any] = {}
    geometry, number, pixels = None, None, None
    for part in text.replace(",", " ").lower().split():
        word, equals, value = part.partition("=")
        if word not in WORDS or (equals and not _is_number(word, value)):
            near = get_close_matches(word, WORDS, n=1)
            hint = f"did you mean {near[0]!r}? " if near and near[0] != word else ""
            raise InputError(
                f"preprocessing {part!r} is no word of a transform; {hint}words are "
                f"{', '.join(WORDS)}, with crop=PIXELS and letterbox=LEVEL"
            )
        if word in PIXELS:
            if pixels or "mean" in fields:
                raise InputError(f"preprocessing {text!r} has two ways to scale pixels; give one")
            pixels = word
        elif word in GEOMETRIES:
            if geometry:
                raise InputError(f"preprocessing {text!r} has two ways to resize; give one")
            geometry, number = word, int(value) if equals else None
        else:
            found |= _MORE[word]
    base = dict(PIXELS[pixels or "unit"])
    usual = base.pop("geometry")
    if "mean" in fields:
        usual, base = "crop", {}
    zoom = 1.0 if "mean" in fields else Unsized.zoom
    return Unsized(geometry or usual, number, {**base, **found, **fields}, zoom=zoom)


def _is_number(word: str, value: str) -> bool:
    """Whether a word takes this number."""
    if not value.isdigit() or word not in ("crop", "letterbox"):
        return False
    return int(value) >= 1 if word == "crop" else int(value) <= WHITE
