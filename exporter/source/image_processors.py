"""Image processors of transformers, and their ``preprocessor_config.json``, as a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, cast

from ...runtime.spec import Interpolation, Preprocess
from ..errors import CaptureError

# By what an int for `size` means there: both sides, or the shorter one.
_SQUARE = (
    "Beit", "Blip", "DeiT", "DPT", "DepthPro", "EfficientNet", "Pvt", "RTDetr",
    "Segformer", "Siglip", "ViT",
)  # fmt: skip
_SHORTER = (
    "Bit", "ChineseCLIP", "CLIP", "ConvNext", "Detr", "Levit", "MobileNetV1", "MobileNetV2",
    "MobileViT", "Yolos",
)  # fmt: skip
_FILTERS: dict[int, Interpolation] = {0: "nearest", 2: "bilinear", 3: "bicubic"}
_WITHOUT_CROP_PCT = 384  # ConvNeXt's processor squashes images of this size and more
_OTHER_STEPS = (
    "do_align_long_axis", "do_grayscale", "do_thumbnail", "apply_ocr", "size_divisor",
    "keep_aspect_ratio", "pad_size",
)  # fmt: skip


def processor_config(transform: Any) -> Mapping[str, Any] | None:
    """The settings of an image processor, of a processor that has one, or of its JSON file."""
    transform = getattr(transform, "image_processor", transform)
    if hasattr(transform, "to_dict") and hasattr(transform, "model_input_names"):
        return {"image_processor_type": type(transform).__name__, **transform.to_dict()}
    if isinstance(transform, Mapping):
        config = cast("Mapping[str, Any]", transform)
        if {"image_processor_type", "feature_extractor_type", "do_resize"} & set(config):
            return config
    return None


def from_processor(config: Mapping[str, Any]) -> Preprocess:
    """Turn the settings of an image processor into a record.

    Raises:
        CaptureError: It is of a kind, or has a step, that cannot be stored.
    """
    kind = str(
        config.get("image_processor_type") or config.get("feature_extractor_type") or "processor"
    )
    if "sampling_rate" in config or "num_mel_bins" in config:
        raise CaptureError(
            f"{kind} makes spectrograms of audio, and the preprocessing is of images; leave it out "
            "and feed tensors"
        )
    family = kind
    for ending in ("Fast", "Pil", "ImageProcessor", "FeatureExtractor"):
        family = family.removesuffix(ending)
    if family not in (*_SQUARE, *_SHORTER):
        known = ", ".join(f"{name}ImageProcessor" for name in (*_SQUARE, *_SHORTER))
        raise CaptureError(
            f"cannot store {kind} as preprocessing: its steps are unknown, those of {known} are "
            "known; describe it with graftcam.exporter.Preprocess"
        )
    for name in _OTHER_STEPS:
        if config.get(name):
            _refuse(kind, f"{name}={config[name]!r}")
    fields = _geometry(family, kind, config) | _pixels(config)
    if config.get("do_flip_channel_order"):
        fields["channels"] = "bgr"
    return Preprocess(**fields)


def _geometry(family: str, kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    resizes = config.get("do_resize", True)
    crop = _size(config.get("crop_size"), square=True) if config.get("do_center_crop") else None
    if not resizes and crop is None:
        _refuse(kind, "images of any size: neither do_resize nor do_center_crop is set")
    fields: dict[str, Any] = {"resize": None, "anchor": "lower"}
    if resizes:
        size = _size(config.get("size"), square=family in _SQUARE)
        fields |= _resize(family, kind, size, config)
        number = int(config.get("resample", 2))
        if number not in _FILTERS:
            _refuse(kind, f"resample={number}; 0, 2 and 3 (nearest, bilinear, bicubic) are stored")
        fields["interpolation"] = _FILTERS[number]
    if crop is not None:
        fields["size"] = _both(kind, "crop_size", crop)
    if "size" not in fields:
        _refuse(
            kind, f"images of another size for each photograph (size={config.get('size')!r}); give "
            "it size={'height': ..., 'width': ...}"
        )  # fmt: skip
    if fields.get("resize_mode") == "exact" and fields["size"] == fields["resize"]:
        del fields["anchor"]
    return fields


def _resize(
    family: str, kind: str, size: Mapping[str, Any], config: Mapping[str, Any]
) -> dict[str, Any]:
    """The fields of the resize, and ``size`` where it gives one."""
    if size.get("height") and size.get("width"):
        sides = [int(size["height"]), int(size["width"])]
        return {"resize": sides, "resize_mode": "exact", "size": sides}
    short = size.get("shortest_edge")
    if short is None or size.get("longest_edge") is not None:
        return {} if short is not None else _refuse(kind, f"size={dict(size)!r}")
    short = int(short)
    if family == "ConvNext":
        square = [short, short]
        if short >= _WITHOUT_CROP_PCT:
            return {"resize": square, "resize_mode": "exact", "size": square}
        return {"resize": [int(short / config.get("crop_pct", 224 / 256))], "size": square}
    return {"resize": [int(256 / 224 * short) if family == "Levit" else short]}


def _pixels(config: Mapping[str, Any]) -> dict[str, Any]:
    """Scale, mean and std; EfficientNet's may move the levels, and divides twice."""
    scale = float(config.get("rescale_factor", 1 / 255)) if config.get("do_rescale", True) else 1.0
    offset = 1.0 if config.get("rescale_offset") else 0.0
    mean, std = [offset] * 3, [1.0] * 3
    if config.get("do_normalize"):
        mean = [offset + value for value in _three(config.get("image_mean"))]
        std = _three(config.get("image_std"))
    if config.get("include_top"):
        std = [one * other for one, other in zip(std, _three(config.get("image_std")), strict=True)]
    return {"scale": scale, "mean": mean, "std": std}


def _three(value: Any) -> list[float]:
    if not isinstance(value, Sequence):
        return [float(value or 0)] * 3
    return [float(one) for one in cast("Sequence[Any]", value)]


def _size(value: Any, *, square: bool) -> Mapping[str, Any]:
    """A size by names, from its older forms: a number, or height and width."""
    if isinstance(value, Sequence):
        height, width = cast("Sequence[int]", value)
        return {"height": height, "width": width}
    if isinstance(value, (int, float)):
        return {"height": value, "width": value} if square else {"shortest_edge": value}
    return dict(value or {})


def _both(kind: str, name: str, size: Mapping[str, Any]) -> list[int]:
    if not (size.get("height") and size.get("width")):
        _refuse(kind, f"{name}={dict(size)!r}, which is no height and width")
    return [int(size["height"]), int(size["width"])]


def _refuse(kind: str, what: str) -> NoReturn:
    raise CaptureError(
        f"cannot store {kind} as preprocessing: it has {what}; change it, or "
        "describe it with graftcam.exporter.Preprocess"
    )
