"""torchvision's and timm's transforms as a record: one step after another.

A step that the record has no place for is named in the refusal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from ...runtime.spec import Interpolation, Preprocess, ResizeMode
from ..errors import CaptureError, in_line
from .transform_draft import Draft, refuse

_NOTHING = ("Identity", "ToPureTensor", "RGB", "ToPILImage", "ToImagePIL")
_RANDOM = (
    "AugMix", "AutoAugment", "ColorJitter", "CutMix", "ElasticTransform", "FiveCrop",
    "GaussianBlur", "GaussianNoise", "JPEG", "MixUp", "RandAugment", "ScaleJitter", "TenCrop",
    "TrivialAugmentWide",
)  # fmt: skip


def steps_of(transform: Any) -> list[Any] | None:
    """The steps of a Compose, or of a Sequential of transforms; None for anything else."""
    if type(transform).__name__ == "Compose" and hasattr(transform, "transforms"):
        return list(transform.transforms)
    if type(transform).__name__ == "Sequential":
        return list(transform.children())
    return None


def from_steps(steps: Iterable[Any]) -> Preprocess:
    """Turn the steps of a Compose into a record.

    Raises:
        CaptureError: A step cannot be stored; the message names it.
    """
    draft = Draft()
    for step in _flat(steps):
        kind = type(step).__name__
        if kind in _STEPS:
            _STEPS[kind](draft, step)
        elif kind not in _NOTHING:
            _unknown(draft, step)
    return draft.record()


def _flat(steps: Iterable[Any]) -> Iterable[Any]:
    """The steps, and in their place those of a Compose inside."""
    for step in steps:
        inner = steps_of(step)
        yield from [step] if inner is None else _flat(inner)


def _unknown(draft: Draft, step: Any) -> None:
    """Pass a step that changes nothing, such as a conversion to RGB; refuse another."""
    name = type(step).__name__
    if name.startswith("Random") or name in _RANDOM:
        raise CaptureError(
            f"the step {in_line(step)} changes images at random, for training; give the transform "
            "of the evaluation (torchvision weights' .transforms(), timm's create_transform(..., "
            "is_training=False))"
        )
    if not _changes_nothing(draft, step):
        function = getattr(step, "lambd", step)
        called = getattr(function, "__qualname__", name)
        what = f"{name} {called!r}" if called != name else in_line(step)
        refuse(what, "what it does to pixels is unknown, and it changes them")


def _changes_nothing(draft: Draft, step: Any) -> bool:
    levels = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    try:
        if draft.tensor:
            import torch

            values = torch.from_numpy(levels.transpose(2, 0, 1).copy())
            values = values / 255 if draft.scaled else values
            made = step(values.clone())
            return made.dtype == values.dtype and torch.equal(made, values)
        from PIL import Image

        return np.array_equal(np.asarray(step(Image.fromarray(levels))), levels)
    except Exception:  # of code that is not ours: it does something else than nothing
        return False


def _numbers(value: Any) -> list[int]:
    return [int(one) for one in value] if isinstance(value, Sequence) else [int(value)]


def _pair(value: Any) -> list[int]:
    numbers = _numbers(value)
    return numbers if len(numbers) > 1 else numbers * 2


def _resize(draft: Draft, step: Any) -> None:
    size, longest = step.size, getattr(step, "max_size", None)
    if size is None:
        refuse(step, "a resize by its max_size alone is not stored")
    sides = _numbers(size)
    draft.resize(step, sides, "shorter" if len(sides) == 1 else "exact", step.interpolation)
    if longest is not None:
        draft.fields["longest"] = int(longest)


def _resize_keep_ratio(draft: Draft, step: Any) -> None:
    """Timm's: the image covers the size, or with ``longest=1`` fits into it."""
    modes: dict[float, ResizeMode] = {0.0: "cover", 1.0: "fit"}
    odd = any(getattr(step, f"random_{what}_prob", 0) for what in ("scale", "aspect"))
    if step.longest not in modes or odd:
        refuse(step, "it is stored with longest=0 or 1, and without random scale and aspect")
    draft.resize(step, _pair(step.size), modes[step.longest], step.interpolation)


def _to_float(draft: Draft, step: Any, scale: bool = True) -> None:
    """From levels to floating point; a second time nothing changes."""
    if not draft.scaled and scale:
        if any(draft.mean) or {*draft.std} != {1.0}:
            refuse(step, "it scales the image after a normalisation")
        draft.scale = 1 / 255
    draft.tensor = draft.scaled = True


def _to_tensor(draft: Draft, step: Any) -> None:
    if not draft.tensor:
        _to_float(draft, step)


def _to_levels(draft: Draft, _step: Any) -> None:
    draft.tensor = True


def _to_dtype(draft: Draft, step: Any) -> None:
    dtype = step.dtype
    if isinstance(dtype, Mapping):  # by the kind of the data
        kinds = {getattr(key, "__name__", str(key)): one for key, one in dtype.items()}  # pyright: ignore
        dtype = kinds.get("Image", kinds.get("others"))
    if dtype is None:
        return
    if dtype.is_floating_point:
        # ConvertImageDtype always scales.
        _to_float(draft, step, scale=getattr(step, "scale", True))
    elif draft.scaled:
        refuse(step, "it turns the image back into integers")


def _normalise(draft: Draft, step: Any) -> None:
    draft.normalise(list(step.mean), list(step.std))


def _grey(draft: Draft, step: Any) -> None:
    count = getattr(step, "num_output_channels", 1)
    if len(draft.mean) > 1:
        refuse(step, "it comes after a normalisation of three channels")
    draft.fields["channels"] = "grey"
    if count > 1:
        draft.mean, draft.std = draft.mean * count, draft.std * count


def _crop(draft: Draft, step: Any) -> None:
    draft.crop(step, _pair(step.size), getattr(step, "fill", 0))


def _pad(draft: Draft, step: Any) -> None:
    if getattr(step, "padding_mode", "constant") != "constant":
        refuse(step, "padding is stored as one colour")
    fill = step.fill
    if isinstance(fill, Mapping):
        fill = next(iter(cast("Mapping[Any, Any]", fill).values()))
    draft.pad(step, _numbers(step.padding), fill)


_STEPS: dict[str, Callable[[Draft, Any], None]] = {
    "Resize": _resize,
    "CenterCrop": _crop,
    "Pad": _pad,
    "ToTensor": _to_tensor,
    "PILToTensor": _to_levels,
    "ToImage": _to_levels,
    "ConvertImageDtype": _to_dtype,
    "ToDtype": _to_dtype,
    "Normalize": _normalise,
    "Grayscale": _grey,
    "ResizeKeepRatio": _resize_keep_ratio,
    "CenterCropOrPad": _crop,
    "MaybeToTensor": _to_tensor,
    "MaybePILToTensor": _to_levels,
}


def from_preset(transform: Any) -> Preprocess | None:
    """Torchvision's ImageClassification preset as a record; None for any other transform."""
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
    mean, std = list(config["mean"]), list(config["std"])
    more: dict[str, Any] = {}
    if crop in (None, "center"):
        square = resize[0] == resize[1]
        mode, resize = ("shorter", resize[:1]) if square else ("cover", resize)
    elif crop == "squash":
        mode = "exact"
    elif crop == "border":
        mode, more["fill"] = "fit", [min(255, round(255 * level)) for level in mean]
    else:
        return None
    return Preprocess("", [height, width], resize, mode, interpolation, mean=mean, std=std, **more)
