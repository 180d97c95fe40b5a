"""torchvision's, timm's and transformers' transforms as records, compared pixel by pixel."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from timm import data
from torchvision import transforms as v1
from torchvision.transforms import InterpolationMode, v2

from graftcam.exporter import CaptureError, export
from graftcam.exporter.source.preprocessing import as_preprocess, original_of
from graftcam.runtime import Explainer
from graftcam.runtime.inputs.preprocess import prepare
from support.images import photo
from support.nets import Tiny, seeded

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
END = [v1.ToTensor(), v1.Normalize(MEAN, STD)]
V2_END = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
TIMM = {
    "input_size": (3, 32, 32), "interpolation": "bicubic", "mean": MEAN, "std": STD,
    "crop_pct": 0.9, "crop_mode": "center",
}  # fmt: skip


def rgb(image: Any) -> Any:
    return image.convert("RGB")


def brighter(image: Any) -> Any:
    return image.point(lambda level: level + 10)


PIPELINES: dict[str, Any] = {
    "crop": v1.Compose([v1.Resize(40), v1.CenterCrop(32), *END]),
    "squash": v1.Compose([v1.Resize((32, 24), InterpolationMode.BICUBIC), *END]),
    "longest side": v1.Compose([v1.Resize(30, max_size=36), v1.CenterCrop(32), *END]),
    "uint8 tensor": v1.Compose([
        v1.Resize((32, 24)), v1.PILToTensor(), v1.ConvertImageDtype(torch.float), END[1]
    ]),
    "tensor first": v1.Compose([END[0], v1.Resize((32, 24)), END[1]]),
    "not antialiased": v1.Compose([END[0], v1.Resize((32, 24), antialias=False), END[1]]),
    "normalised first": v1.Compose([*END, v1.Resize((32, 24))]),
    "nearest": v1.Compose([v1.Resize((32, 24), InterpolationMode.NEAREST), *END]),
    "padded": v1.Compose([v1.Resize((20, 24)), v1.Pad((4, 6), fill=114), *END]),
    "padded with white": v1.Compose([END[0], v1.Resize((20, 24)), v1.Pad(4, fill=1.0)]),
    "three greys": v1.Compose([v1.Grayscale(3), v1.Resize((32, 24)), *END]),
    "one grey": v1.Compose([v1.Grayscale(), v1.Resize((32, 24)), v1.ToTensor()]),
    "to RGB, inside another": v1.Compose([rgb, v1.Compose([v1.Resize((32, 24)), *END])]),
    "modules": v1.Compose([END[0], torch.nn.Sequential(v1.Resize((32, 24)), END[1])]),
    "v2": v2.Compose([v2.Resize(40), v2.CenterCrop(32), *V2_END]),
    "v2, levels": v2.Compose([
        v2.ToImage(), v2.Resize((32, 24)), v2.ToDtype(torch.float32), v2.Normalize([127.5], [60.0])
    ]),
    "timm": data.create_transform(**TIMM),
    "timm, wide": data.create_transform(**{**TIMM, "input_size": (3, 24, 32)}),
    "timm, border": data.create_transform(**{**TIMM, "crop_mode": "border"}),
    "timm's settings, border": {**TIMM, "crop_mode": "border", "crop_pct": 1.0},
    "timm's settings, wide": {**TIMM, "input_size": (3, 24, 32)},
}  # fmt: skip


def check_pixels(transform: Any) -> None:
    """Compare the record's pixels with the original's, in grey levels on the mean."""
    record, original = as_preprocess(transform), original_of(transform)
    assert original is not None
    for shape in [(60, 100), (101, 60), (37, 41), (20, 90)]:
        image = photo(*shape)
        theirs = np.asarray(original(image), np.float64)
        if len(record.mean) < len(theirs):
            record = replace(record, mean=record.mean * 3, std=record.std * 3)
        levels = (prepare(record, image) - theirs) * np.array(record.std)[:, None, None]
        # Tensors are resized in floating point, and the runtime rounds to whole levels.
        assert np.abs(levels / record.scale).mean() < 0.4, shape


@pytest.mark.parametrize("transform", PIPELINES.values(), ids=PIPELINES)
def test_a_pipeline_becomes_a_record_of_the_same_pixels(transform: Any) -> None:
    check_pixels(transform)


REFUSED: dict[str, tuple[list[Any], str]] = {
    "at random": ([v1.RandomHorizontalFlip(), *END], r"RandomHorizontalFlip\(p=0.5\) changes ima"),
    "jitter": ([v2.ColorJitter(0.5), *END], "ColorJitter.* at random, for training; give the tran"),
    "a lambda": ([v1.Lambda(brighter), *END], "the step Lambda 'brighter' as .* is unknown"),
    "a function": ([brighter, *END], "the step function 'brighter'"),
    "open size": ([v1.Resize(32), *END], "another size for each photograph.*CenterCrop"),
    "no size": (END, "another size for each photograph"),
    "another filter": ([v1.Resize((8, 8), InterpolationMode.LANCZOS)], "filter 'lanczos'"),
    "nearest of a tensor": (
        [END[0], v1.Resize((8, 8), InterpolationMode.NEAREST)], "NEAREST_EXACT is"
    ),
    "padding first": ([v1.Pad(4), v1.Resize((8, 8))], r"Pad\(.*padding is stored after Resize"),
    "uneven padding": ([v1.Resize((8, 8)), v1.Pad((0, 0, 4, 4))], "the same on opposite sides"),
    "mirrored": ([v1.Resize((8, 8)), v1.Pad(2, padding_mode="reflect")], "stored as one colour"),
    "padding of no level": (
        [v1.Resize((8, 8)), *END, v1.Pad(2)], r"no grey level of 0 to 255, but \[123.675"
    ),
    "two resizes": ([v1.Resize(9), v1.Resize((8, 8))], "one resize is stored"),
    "two crops": ([v1.CenterCrop(9), v1.CenterCrop(8)], "one crop is stored"),
}  # fmt: skip


@pytest.mark.parametrize(("steps", "message"), REFUSED.values(), ids=REFUSED)
def test_a_step_that_cannot_be_stored_is_named(steps: list[Any], message: str) -> None:
    with pytest.raises(CaptureError, match=message):
        as_preprocess(v1.Compose(steps))


def test_a_training_pipeline_is_a_witness_of_the_export(tmp_path: Path) -> None:
    transform = v1.Compose([v1.Resize((12, 10)), v1.Pad(2, fill=114), *END])
    path = tmp_path / "m.onnx"
    report = export(
        seeded(Tiny()), path, (torch.zeros(1, 3, 16, 14),), preprocess=transform,
        extras="embed_preprocess",
    )  # fmt: skip
    assert {one.status for one in report.verdict.findings if one.check == "metadata"} == {"pass"}
    assert Explainer(path).explain(photo(40, 60)).heatmaps.shape == (1, 40, 60)


PROCESSORS = [
    ("ViT", {"size": {"height": 32, "width": 24}}),
    ("ConvNext", {"size": {"shortest_edge": 28}}),
    ("ConvNext", {"size": {"shortest_edge": 384}}),
    ("CLIP", {"size": {"shortest_edge": 35}, "crop_size": {"height": 32, "width": 32}}),
    ("Bit", {"size": {"shortest_edge": 30}, "crop_size": {"height": 32, "width": 32}}),
    ("MobileViT", {"size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 32}}),
    ("Levit", {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}),
    ("EfficientNet", {"size": {"height": 32, "width": 32}, "rescale_offset": True}),
    ("Detr", {"size": {"height": 30, "width": 40}}),
]


@pytest.mark.parametrize(("family", "options"), PROCESSORS)
def test_an_image_processor_and_its_file_become_a_record(
    family: str, options: dict[str, Any], tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    processor = getattr(transformers, f"{family}ImageProcessor")(**options)
    check_pixels(processor)
    processor.save_pretrained(tmp_path)
    assert as_preprocess(tmp_path / "preprocessor_config.json") == as_preprocess(processor)


NOT_STORED: dict[str, tuple[dict[str, Any], str]] = {
    "audio": (
        {"feature_extractor_type": "ASTFeatureExtractor", "num_mel_bins": 128},
        "ASTFeatureExtractor makes spectrograms of audio",
    ),
    "sizes": (
        {
            "image_processor_type": "DetrImageProcessor",
            "size": {"shortest_edge": 800, "longest_edge": 1333},
        },
        "DetrImageProcessor.*another size for each photograph",
    ),
    "steps": ({"image_processor_type": "DonutImageProcessor"}, "its steps are unknown"),
    "lanczos": (
        {"image_processor_type": "ViTImageProcessor", "size": 8, "resample": 1}, "has resample=1"
    ),
    "unknown": ({"size": [8, 8], "meen": [0.5]}, r"unknown settings \['meen'\]"),
}  # fmt: skip


@pytest.mark.parametrize(("settings", "message"), NOT_STORED.values(), ids=NOT_STORED)
def test_a_file_that_cannot_be_stored_says_why(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps(settings))
    with pytest.raises(CaptureError, match=message):
        as_preprocess(str(path))
