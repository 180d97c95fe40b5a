"""A `Draft` collects what the steps of a transform do to an image, as fields of the record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, cast

import numpy as np

from ...runtime.spec import Interpolation, Preprocess, ResizeMode
from ..errors import CaptureError, in_line


@dataclass
class Draft:
    """What the steps so far do to an image.

    Attributes:
        tensor: Whether the image is a tensor by now.
        scaled: Whether it is floating point.
        size: Height and width where they are the same for all images.
        padded: Whether a step has padded the image.
        cropped: Whether a step has cropped it.
        fields: Fields of the record.
    """

    tensor: bool = False
    scaled: bool = False
    size: list[int] | None = None
    padded: bool = False
    cropped: bool = False
    scale: float = 1.0
    mean: list[float] = field(default_factory=lambda: [0.0])
    std: list[float] = field(default_factory=lambda: [1.0])
    fields: dict[str, Any] = field(default_factory=dict[str, Any])

    def record(self) -> Preprocess:
        """The record of all steps."""
        if self.size is None:
            raise CaptureError(
                "the transform gives images of another size for each photograph, and the artifact "
                "stores one size; end its geometry with CenterCrop(size) or Resize((height, width))"
            )
        levels = 3 if self.fields.get("channels") == "bgr" else 1
        return Preprocess(
            size=self.size, resize=self.fields.pop("resize", None), scale=self.scale,
            mean=_wide(self.mean, levels), std=_wide(self.std, levels), **self.fields,
        )  # fmt: skip

    def resize(self, step: Any, resize: Sequence[int], mode: ResizeMode, filter_: Any) -> None:
        """Note a resize, which comes first and once."""
        if "resize" in self.fields or self.cropped or self.padded:
            refuse(step, "one resize is stored, before any crop or padding")
        self.fields |= {"resize": list(resize), "resize_mode": mode}
        self.fields["interpolation"] = _interpolation(step, filter_, self.tensor)
        if self.tensor and getattr(step, "antialias", True) is False:
            self.fields["antialias"] = False
        if mode == "exact":
            self.size = list(resize)

    def crop(self, step: Any, size: Sequence[int], fill: Any = 0) -> None:
        """Note a crop at the centre, with padding where the image is smaller."""
        if self.cropped or self.padded:
            refuse(step, "one crop is stored")
        self.cropped, self.size = True, list(size)
        if self._may_pad(size):
            self._fill(step, fill)

    def _may_pad(self, size: Sequence[int]) -> bool:
        resize, mode = self.fields.get("resize"), self.fields.get("resize_mode")
        if resize is None or mode in ("fit", "longer") or "longest" in self.fields:
            return True
        return any(side < most for side, most in zip((resize[0], resize[-1]), size, strict=True))

    def pad(self, step: Any, padding: Sequence[int], fill: Any) -> None:
        """Note padding on all sides of an image of known size."""
        left, top, *rest = padding if len(padding) > 1 else [*padding] * 2
        right, bottom = rest or (left, top)
        if self.size is None or self.cropped or self.padded:
            refuse(step, "padding is stored after Resize((height, width)), and without a crop")
        if (left, top) != (right, bottom):
            refuse(step, "padding is stored where it is the same on opposite sides")
        self.padded = True
        self.size = [self.size[0] + 2 * top, self.size[1] + 2 * left]
        self._fill(step, fill)

    def _fill(self, step: Any, fill: Any) -> None:
        """Note what padding is, from its value at this step."""
        values = np.atleast_1d(np.asarray(0 if fill is None else fill, np.float64))
        levels = (values * self.std + self.mean) / self.scale
        whole = np.rint(levels)
        if (np.abs(levels - whole) > 1e-3).any() or whole.min() < 0 or whole.max() > 255:
            refuse(
                step, f"its padding is no grey level of 0 to 255, but {levels.round(3).tolist()}"
            )
        if whole.any():
            self.fields["fill"] = [int(level) for level in whole]

    def normalise(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Note a subtraction and a division, after those so far."""
        width = max(len(self.mean), len(mean))
        old_mean, old_std, more_mean, more_std = (
            np.array(_wide(list(map(float, values)), width))
            for values in (self.mean, self.std, mean, std)
        )
        self.mean = (old_mean + more_mean * old_std).tolist()
        self.std = (old_std * more_std).tolist()


def _wide(values: list[float], width: int) -> list[float]:
    return values * width if len(values) == 1 else values


def refuse(step: Any, why: str) -> NoReturn:
    """Refuse a step that cannot be stored.

    Raises:
        CaptureError: Always; it names the step.
    """
    text = step if isinstance(step, str) else in_line(step)
    raise CaptureError(
        f"cannot store the step {text} as preprocessing: {why}; leave it out, or describe "
        "the transform with graftcam.exporter.Preprocess"
    )


def _interpolation(step: Any, given: Any, tensor: bool) -> Interpolation:
    """The filter by the record's name; torchvision's nearest takes another pixel for a tensor."""
    name = str(getattr(given, "value", given))
    if name == "nearest-exact" or (name == "nearest" and not tensor):
        return "nearest"
    if name not in ("bilinear", "bicubic"):
        hint = "; NEAREST_EXACT is" if name == "nearest" else ""
        refuse(step, f"the filter {name!r} is not stored, bilinear and bicubic are{hint}")
    return cast(Interpolation, name)
