"""What `export` accepts, what it refuses at once, and what the artifact records of it."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import nn
from torchvision.models import ResNet18_Weights

from graftcam.exporter import (
    CaptureError,
    LayerError,
    Preprocess,
    Score,
    ScoreError,
    SettingsError,
    TorchExport,
    candidates_of,
    export,
)
from graftcam.exporter.arguments.keywords import RecordFields, with_fields
from graftcam.exporter.pipeline import export_as
from graftcam.exporter.release import input_shapes, verify_artifact
from graftcam.exporter.source.named import Source
from graftcam.exporter.source.settings import ExportSettings
from graftcam.exporter.verify.again import check_again
from graftcam.exporter.verify.verdict.settings import OFF, checked
from graftcam.runtime.errors import InputError
from graftcam.runtime.spec import METADATA_KEY, Spec
from support.exports import to_onnx
from support.nets import Ending, Flat, Tiny, seeded

EXAMPLE = (torch.zeros(1, 3, 8, 8),)
TRANSFORM = Preprocess(size=(8, 8))

OLD_WORDS: dict[str, tuple[dict[str, Any], str]] = {
    "embedded": ({"embed_preprocess": True}, "give extras={'embed_preprocess'}"),
    "input's gradient": ({"input_gradients": True}, "give extras={'input_gradients'}"),
    "guided": ({"guided": True}, "give extras={'guided'}"),
    "head": ({"head": True}, "give extras={'head'}"),
    "no head": ({"head": False}, "leave it out"),
    "method": ({"methods": "layercam"}, "give extras={'layercam'}"),
    "methods": ({"methods": ["cam", "fem"]}, "give extras={'cam', 'fem'}"),
    "a slip": ({"layer": "relu1"}, "no argument 'layer'; did you mean 'layers'?"),
    "nothing like it": ({"zzz": 1}, "no argument 'zzz'; it has "),
}


@pytest.mark.parametrize(("keywords", "message"), OLD_WORDS.values(), ids=OLD_WORDS)
def test_another_word_says_what_to_give(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        export(Tiny(), "unused.onnx", EXAMPLE, **keywords)
    assert message in str(caught.value)


def test_true_is_a_quick_verification_and_false_is_none() -> None:
    assert checked(True) == checked("quick")
    assert checked(False) == OFF


def test_fields_of_the_score_and_the_trace_are_keywords_too() -> None:
    given: RecordFields = {"class_axis": 2, "output": "b", "opset": 20, "dynamic_batch": False}
    score, trace = with_fields(Score("output", activation="none"), None, given)
    assert score == Score("output", "b", "none", 2)
    assert trace == TorchExport(20, dynamic_batch=False)
    assert with_fields("logit", None, {}) == ("logit", None)
    records = {field.name for record in (Score, TorchExport) for field in fields(record)}
    assert {*RecordFields.__annotations__} == records - {"kind"}


WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "unknown score": ({"score": "logits"}, ScoreError, "unknown score 'logits'; did you mean 'log"),
    "score's type": ({"score": 3}, ScoreError, "a kind or a Score"),
    "activation": ({"score": Score(activation="relu")}, ScoreError, "unknown activation 'relu'"),  # pyright: ignore[reportArgumentType]
    "axis": ({"score": Score(class_axis=1.5)}, ScoreError, "class_axis=1.5"),  # pyright: ignore[reportArgumentType]
    "offset": ({"score": Score(class_offset=-1)}, ScoreError, "class_offset=-1"),
    "output's type": ({"score": Score(output=[3])}, ScoreError, "output takes a list of names"),  # pyright: ignore[reportArgumentType]
    "a layer's type": ({"layers": 3}, LayerError, "layers takes a list of names, not 3"),
    "layers' type": ({"layers": ["relu1", 1]}, LayerError, "not \\['relu1', 1\\]"),
    "twice": ({"layers": ["relu1", "relu1"]}, LayerError, "named twice"),
    "labels' type": ({"labels": "cat"}, CaptureError, "labels takes a list of names, not 'cat'"),
    "unknown extra": ({"extras": ["layer-cam"]}, SettingsError, "did you mean 'layercam'"),
    "unknown flag": ({"extras": {"heads"}}, SettingsError, "did you mean 'head'"),
    "extras' type": ({"extras": 7}, SettingsError, "extras takes names"),
    "trace": ({"trace": 18}, SettingsError, "trace is a TorchExport"),
    "old opset": ({"trace": TorchExport(opset=17)}, SettingsError, "18 or newer"),
    "a name twice": (
        {"trace": TorchExport(output_names=["x", "x"])}, SettingsError, "has a name twice; give"),
    "a name alone": ({"trace": TorchExport(input_names="x")}, SettingsError, "not 'x'"),
    "verify": ({"verify": "fast"}, SettingsError, "unknown verify 'fast'"),
    "name": ({"name": 3}, SettingsError, "name=3"),
    "a set of labels": ({"labels": {"cat", "dog"}}, CaptureError, "labels takes a list"),
    "batch's type": ({"trace": TorchExport(dynamic_batch="no")}, SettingsError, "True or False"),  # pyright: ignore[reportArgumentType]
    "size": ({"preprocess": Preprocess(size=(8,))}, CaptureError, r"cannot have size=\[8\]"),
    "colours": ({"preprocess": Preprocess(mean=[0.5])}, CaptureError, "cannot have std="),
    "resize": ({"preprocess": Preprocess(resize=[-5])}, CaptureError, r"resize=\[-5\]; give a"),
    "scale": ({"preprocess": Preprocess(scale=0)}, CaptureError, "have scale=0; give a number"),
    "mean's type": ({"preprocess": Preprocess(mean="abc")}, CaptureError, "have mean="),
    "no number": ({"preprocess": Preprocess(mean=[float("nan")] * 3)}, CaptureError, "have mean="),
    "parts": ({"preprocess": Preprocess(size=(8.0, 8.0))}, CaptureError, r"size=\[8.0, 8.0\]"),
    "zero std": ({"preprocess": Preprocess(std=[0] * 3)}, CaptureError, r"std=\[0, 0, 0\]; give"),
    "a part": ({"preprocess": {"mean": 1}}, CaptureError, "cannot store {'mean': 1}"),
    "weights": ({"preprocess": ResNet18_Weights.DEFAULT}, CaptureError, "result of a call"),
    "no call": ({"preprocess": ResNet18_Weights.DEFAULT.transforms}, CaptureError, "of a call"),
    "a page": ({"preprocess": nn.Sequential(nn.ReLU())}, CaptureError, r"store the step ReLU\(\)"),
    "a module": ({"layers": Tiny()}, LayerError, "give strings, such as 'layer4'"),
    "ids": ({"labels": [1, 2]}, CaptureError, "give strings, such as"),
    "a method of the input": ({"extras": "saliency"}, SettingsError, "extra 'input_gradients'"),
    "a method of the head": ({"extras": "ablationcam"}, SettingsError, "give the extra 'head'"),
    "images for nothing": ({"images": "x", "verify": "off"}, SettingsError, "verify='quick' or a"),
    "images without transform": ({"images": "x"}, SettingsError, "cannot be fed without"),
    "transform": ({"preprocess": "imagnet"}, CaptureError, "'imagnet'"),
    "nothing to embed": ({"extras": "embed_preprocess"}, CaptureError, "a training transform"),
}  # fmt: skip


@pytest.mark.parametrize(("keywords", "error", "message"), WRONG.values(), ids=WRONG)
def test_wrong_values_are_refused_before_any_work(
    keywords: dict[str, Any], error: type[Exception], message: str
) -> None:
    began: list[str] = []
    with pytest.raises(error, match=message) as caught:
        export(Tiny(), "unused.onnx", EXAMPLE, progress=began.append, **keywords)
    assert began == []
    assert "\n" not in str(caught.value)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="cannot export a list"):
        export([1], tmp_path / "m.onnx", EXAMPLE)  # pyright: ignore[reportArgumentType]


UNFIT = {
    "size": (Preprocess(), (1, 3, 8, 8), r"\[N, 3, 224, 224\], input 'x' takes .*3, 8, 8\]"),
    "channels": (TRANSFORM, (1, 1, 8, 8), r"\[N, 3, 8, 8\], input 'x' takes .*1, 8, 8\]"),
    "layout": (replace(TRANSFORM, layout="nhwc"), (1, 3, 8, 8), r"\[N, 8, 8, 3\], input"),
    "a volume": (TRANSFORM, (1, 3, 8, 8, 4), r"\[N, 3, 8, 8\], input 'x' takes .*3, 8, 8, 4\]"),
}


@pytest.mark.parametrize(("transform", "shape", "message"), UNFIT.values(), ids=UNFIT)
def test_a_transform_that_does_not_fit_the_input_is_refused(
    tmp_path: Path, transform: Preprocess, shape: tuple[int, ...], message: str
) -> None:
    model = nn.Sequential(nn.ReLU(), nn.Flatten(2), nn.AdaptiveAvgPool1d(1), nn.Flatten())
    options: dict[str, Any] = {"layers": "0", "trace": TorchExport(input_names=["x"])}
    with pytest.raises(CaptureError, match=message):
        export(model, tmp_path / "m.onnx", torch.zeros(shape), preprocess=transform, **options)


def test_one_mean_stands_for_all_channels(tmp_path: Path) -> None:
    transform = replace(TRANSFORM, mean=[0.5], std=[0.25])
    report = export(seeded(Tiny()), tmp_path / "m.onnx", EXAMPLE, preprocess=transform)
    assert report.spec.preprocess.mean == [0.5] * 3
    assert report.spec.preprocess.std == [0.25] * 3


X = EXAMPLE[0]
EXAMPLES = {
    "an array": (X.numpy(), "example_inputs are a ndarray; give a tuple"),
    "a dict with another key": ({"y": X}, r"run on \({y: Tensor float32 \[1, 3, 8, 8\]}\): conv2d"),
    "two keys": (
        {"x": X, "y": X},
        "x=Tensor float32 .*, y=Tensor .*unexpected keyword argument 'y'",
    ),
    "channels": ((X[:, :1],), r"Tensor float32 \[1, 1, 8, 8\]\): Given groups=1"),
    "type": ((X.long(),), r"Tensor int64 \[1, 3, 8, 8\]\): "),
    "count": ((X, X), "takes 2 positional arguments but 3 were given"),
    "nothing": ((None,), r"cannot be run on \(NoneType\): conv2d"),
    "an array inside": ((X.numpy(),), "ndarray float32"),
}


@pytest.mark.parametrize("layers", [None, "relu1"])
@pytest.mark.parametrize(("examples", "message"), EXAMPLES.values(), ids=EXAMPLES)
def test_examples_that_the_model_does_not_take_are_refused(
    tmp_path: Path, layers: str | None, examples: Any, message: str
) -> None:
    with pytest.raises(CaptureError, match=message) as caught:
        export(seeded(Tiny()), tmp_path / "m.onnx", examples, layers=layers)
    assert "\n" not in str(caught.value)


def test_an_unknown_output_of_a_module_is_refused() -> None:
    with pytest.raises(ScoreError, match="'nope'; none has a name"):
        candidates_of(seeded(Tiny()), EXAMPLE, output="nope")


def test_the_defaults_of_a_transform_are_torchvisions() -> None:
    from torchvision.models import ResNet50_Weights

    from graftcam.exporter.source.preprocessing import as_preprocess

    theirs = as_preprocess(ResNet50_Weights.IMAGENET1K_V1.transforms())
    assert as_preprocess("imagenet").sized(224, 224, "nchw") == theirs
    assert Preprocess(size=(299, 299)).resize == [342]  # as Inception v3's
    assert Preprocess(resize=None).resize is None
    assert Preprocess(size=(112, 224), resize_mode="exact").resize == [128, 256]


@pytest.mark.parametrize("field", ["size", "resize", "mean", "std"])
def test_a_transform_takes_sequences_not_single_numbers(field: str) -> None:
    number: Any = 224
    with pytest.raises(InputError, match=rf"^{field}=224 is a single number; give size=\(height"):
        Preprocess(**{field: number})


def test_an_onnx_file_takes_nothing_that_it_cannot_follow(tmp_path: Path) -> None:
    source = to_onnx(seeded(Tiny()), tmp_path / "plain.onnx")
    with pytest.raises(CaptureError, match="keeps its opset, axes and names: leave trace out"):
        export(source, tmp_path / "m.onnx", trace=TorchExport(dynamic_size=True))
    with pytest.raises(CaptureError, match="leave example_inputs out"):
        export(source, tmp_path / "m.onnx", EXAMPLE)
    with pytest.raises(CaptureError, match="leave example_inputs out"):
        candidates_of(source, EXAMPLE)


def test_the_artifact_records_what_it_was_made_with(tmp_path: Path) -> None:
    spec = export(
        seeded(Flat()), tmp_path / "m.onnx", EXAMPLE, verify="off", name="flat", profile="web",
        preprocess=TRANSFORM, extras=("guided", "layercam", "embed_preprocess"),
        score=Score(activation="sigmoid"), trace=TorchExport(opset=19, input_names=("image",)),
    ).spec  # fmt: skip
    assert Spec.from_json(spec.to_json()) == spec
    settings = ExportSettings.of_spec(spec)
    assert settings.layers is None  # the automatic choice
    assert settings == ExportSettings(
        Score(activation="sigmoid"), ["embed_preprocess", "guided", "layercam"],
        trace=TorchExport(19, input_names=["image"]), preprocess=TRANSFORM, profile="web",
        name="flat",
    )  # fmt: skip
    recorded = json.loads(spec.to_json())["settings"]
    assert set(recorded) == {"score", "extras", "trace"}  # labels and the like stand elsewhere
    unknown = spec.to_json().replace('"extras":', '"more":1,"extras":')
    with pytest.raises(Exception, match=r"graftcam.settings: unknown fields \['more'\]"):
        Spec.from_json(unknown)


def test_extras_in_any_order_give_the_same_bytes(tmp_path: Path) -> None:
    written: list[bytes] = []
    for extras in (["fem", "cam", "gradcam"], {"cam", "fem"}, ["cam", "fem", "cam"]):
        export(seeded(Tiny()), tmp_path / "m.onnx", EXAMPLE, extras=extras, verify="off")
        written.append((tmp_path / "m.onnx").read_bytes())
    assert written[0] == written[1] == written[2]


class Shifted(nn.Module):
    """Takes the image second."""

    def __init__(self) -> None:
        super().__init__()
        self.tiny = Tiny()

    def forward(self, shift: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return self.tiny(x) + shift.mean((2, 3))[:, :1]


SETTINGS: dict[str, tuple[nn.Module, tuple[torch.Tensor, ...], dict[str, Any]]] = {
    "a linear score": (Ending(nn.Softmax(1)), EXAMPLE, {"score": "linear"}),
    "a second input, embedded": (
        Shifted(), 2 * EXAMPLE,
        {"preprocess": replace(TRANSFORM, input="x"), "extras": {"embed_preprocess", "head"}},
    ),
    "fixed and named": (
        Flat(), EXAMPLE,
        {"layers": "body.0", "trace": TorchExport(20, False, input_names=["image"])},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("model", "example", "options"), SETTINGS.values(), ids=SETTINGS)
def test_a_second_export_needs_no_option_again(
    tmp_path: Path, model: nn.Module, example: tuple[torch.Tensor, ...], options: dict[str, Any]
) -> None:
    path = tmp_path / "m.onnx"
    spec = export(seeded(model), path, example, verify="off", **options).spec
    names = ["shift", "x"] if "preprocess" in options else [""]
    assert input_shapes(path) == {name: [3, 8, 8] for name in names}
    found = check_again(path, spec, seeded(model), example, export_as)
    assert [(one.check, one.status, one.reason) for one in found] == [
        ("source", "pass", ""), ("determinism", "pass", ""),
    ]  # fmt: skip


def test_the_bytes_that_ship_are_those_that_are_made_again(tmp_path: Path) -> None:
    report = export(
        seeded(Tiny()), tmp_path / "m.onnx", EXAMPLE, preprocess=TRANSFORM, verify="full",
        extras={"embed_preprocess"},
    )  # fmt: skip
    assert report.verdict.by_check()["determinism"] == "pass"
    assert report.spec.verification.checks["determinism"] == "pass"


def test_an_artifact_without_settings_loads_and_is_not_made_again(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    spec = export(seeded(Tiny()), path, EXAMPLE, verify="off").spec
    model = onnx.load(path)
    (entry,) = (one for one in model.metadata_props if one.key == METADATA_KEY)
    entry.value = replace(spec, settings=None).to_json()
    onnx.save(model, path)
    read, verdict = verify_artifact(path, Source(seeded(Tiny()), "nets", EXAMPLE))
    assert read.settings is None
    assert verdict.failures == []
    skipped = [one for one in verdict.findings if one.status == "skipped"]
    reasons = {one.check: one.reason for one in skipped}
    assert "does not record how it was exported" in reasons["determinism"]
