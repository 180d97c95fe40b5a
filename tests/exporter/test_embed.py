"""The training transform inside the graph: Pillow's pixels from raw ones, in any language."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from PIL import Image
from torch import nn

from graftcam.exporter import TorchExport, export, pipeline
from graftcam.exporter.arguments import settings as arguments
from graftcam.exporter.artifact import embed_preprocess as module
from graftcam.exporter.errors import CaptureError, VerificationError
from graftcam.exporter.graph.emitter import Emitter
from graftcam.exporter.release import verify_artifact
from graftcam.exporter.source.named import Source
from graftcam.exporter.verify import run_checks
from graftcam.exporter.verify.runs import embedded
from graftcam.runtime import Explainer
from graftcam.runtime.errors import InputError
from graftcam.runtime.inputs.preprocess import place, prepare
from graftcam.runtime.spec import Preprocess
from support.artifacts import SCENE, preprocess
from support.exports import make, to_onnx
from support.images import photo
from support.methods import add_method
from support.nets import Tiny, seeded

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
RECORD = preprocess(input="", mean=MEAN, std=STD)
LEVEL = 1 / 255 / 0.224  # one grey level after normalisation
EXAMPLE = (torch.zeros(1, 3, 32, 32),)
# Shrunk and grown, square and not, wide and tall, odd.
SIZES = [(480, 640), (333, 500), (201, 77), (64, 64), (20, 90), (37, 41), (41, 32)]


def embedded_in(path: Path, record: Any, extras: Any = "embed_preprocess", **more: Any) -> Any:
    """Export `Tiny` with its transform inside."""
    options = {"layers": "relu1", "preprocess": record, "extras": extras, **more}
    return export(seeded(Tiny()), path, EXAMPLE, **options)


def run(transform: Preprocess, *images: np.ndarray) -> np.ndarray:
    """The embedded steps alone, in ONNX Runtime, with all of its optimisations."""
    pixels = module._input("pixels", "N")
    graph = ir.Graph([pixels], [], nodes=[], opset_imports={"": 18}, name="pixels")
    graph.outputs.append(module._steps(Emitter(graph), pixels, transform, ir.DataType.FLOAT))
    data = ir.to_proto(ir.Model(graph, ir_version=10)).SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(None, {"pixels": np.stack(images)})[0]


def check_pixels(mine: np.ndarray, wanted: np.ndarray) -> None:
    """Hold the mean to half a grey level, and all but a few pixels to one.

    Rows and columns are filtered one after the other, and what lies between is rounded and cut to
    a byte. Pillow chooses the order by the image's shape, ONNX Runtime does not.
    """
    error = np.abs(mine - wanted) / LEVEL
    assert error.mean() < 0.5
    assert (error > 1.01).mean() < 0.005


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", SIZES)
def test_pixels_are_torchvisions(shape: tuple[int, int], interpolation: str) -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    mode = transforms.InterpolationMode(interpolation)
    theirs = transforms.Compose(
        [
            transforms.Resize(72, interpolation=mode),
            transforms.CenterCrop(64),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    images = [photo(*shape), photo(*shape)[::-1]]
    record = preprocess(size=[64, 64], resize=[72], mean=MEAN, std=STD, interpolation=interpolation)
    mine = run(record, *images)
    wanted = np.stack([theirs(Image.fromarray(image)).numpy() for image in images])
    assert mine.dtype == np.float32
    assert mine.shape == wanted.shape
    check_pixels(mine, wanted)


@pytest.mark.parametrize("crop_mode", ["center", "squash"])
@pytest.mark.parametrize("shape", SIZES[:4])
def test_pixels_are_timms(shape: tuple[int, int], crop_mode: str) -> None:
    data = pytest.importorskip("timm.data")
    from graftcam.exporter.source.preprocessing import from_timm

    config = {
        "input_size": (3, 64, 64), "interpolation": "bicubic", "crop_pct": 0.9, "mean": MEAN,
        "std": STD, "crop_mode": crop_mode,
    }  # fmt: skip
    image, record = photo(*shape), from_timm(config)
    wanted = data.create_transform(**config)(Image.fromarray(image)).numpy()[None]
    mine = run(record, image)
    check_pixels(mine, wanted)


CASES: dict[str, dict[str, Any]] = {
    "longer, padded with black": {"resize_mode": "longer"},
    "exact": {"resize_mode": "exact", "resize": [36, 50]},
    "exact, smaller than the crop": {"resize_mode": "exact", "resize": [20, 41]},
    "shorter, smaller than the crop": {"resize": [19]},
    "no resize": {"resize": None},
    "nearest": {"interpolation": "nearest"},
    "nearest, longer": {"interpolation": "nearest", "resize_mode": "longer"},
    "channels last": {"layout": "nhwc"},
    "luma, in whole levels": {"mean": [0.0], "std": [1.0], "scale": 1.0},
    "luma in three channels": {"channels": "grey", "std": [1 / 255] * 3},
    "blue first": {"channels": "bgr"},
    "letterbox": {"resize_mode": "fit", "resize": [40, 52], "fill": [114], "antialias": False},
    "letterbox, at the top left": {"resize_mode": "fit", "fill": [114], "anchor": "top_left"},
    "padded with a colour": {"resize_mode": "longer", "fill": [1, 20, 255]},
    "cover": {"resize_mode": "cover", "resize": [40, 36]},
    "halves rounded down": {"anchor": "lower", "resize": [39]},
    "a longest side": {"resize": [32], "longest": 35},
    "OpenCV's cubic": {"resize_mode": "exact", "interpolation": "bicubic", "antialias": False},
}


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_pixels_are_the_runtimes(changes: dict[str, Any]) -> None:
    record = preprocess(**{"mean": MEAN, "std": STD, **changes})
    level = record.scale / min(record.std)
    for shape in [(60, 100), (101, 60), (33, 35), (31, 29), (7, 10), (40, 40), (1, 3)]:
        image = photo(*shape)
        wanted = prepare(record, image, place(record, *shape))
        (mine,) = run(record, image)
        assert mine.shape == wanted.shape, shape
        error = np.abs(mine - wanted)
        # One level, as above; a luma that is one level off goes through the resize.
        assert error.max() <= 1.01 * level, shape
        # OpenCV's weights have eleven bits, ONNX Runtime's are floats.
        assert error.mean() < (0.1 if record.antialias is None else 0.25) * level, shape


Pair = tuple[Explainer, Explainer]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """The same model without and with its transform inside, both verified."""
    folder = tmp_path_factory.mktemp("model")
    embedded_in(folder / "plain.onnx", RECORD, extras=[])
    embedded_in(folder / "raw.onnx", RECORD)
    return Explainer(folder / "plain.onnx"), Explainer(folder / "raw.onnx")


def test_an_artifact_that_takes_pixels_explains_as_one_that_takes_tensors(pair: Pair) -> None:
    plain, raw = pair
    images = [photo(60, 100), photo(60, 100)[::-1], photo(33, 35), SCENE]
    before, after = plain.explain(images, top=2), raw.explain(images, top=2)
    for one, other in zip(before, after, strict=True):
        assert one.classes == other.classes
        # A pixel in a hundred is one level off.
        np.testing.assert_allclose(one.scores, other.scores, atol=0.02)
        assert np.corrcoef(one.heatmaps.ravel(), other.heatmaps.ravel())[0, 1] > 0.999
        assert one.placement == other.placement


def test_its_input_is_raw_pixels_and_its_metadata_says_so(pair: Pair) -> None:
    plain, raw = pair
    expected = replace(plain.spec.preprocess, input="pixels", embedded=True)
    assert raw.spec.preprocess == expected
    assert "embedded" not in plain.spec.to_json()
    assert raw.spec.verification.verdict == "pass"
    port = raw._session.inputs["pixels"]
    assert (port.dtype, port.shape, port.required) == (np.uint8, (None, None, None, 3), True)
    assert list(raw._session.inputs) == ["pixels", "class_index"]
    onnx.checker.check_model(onnx.load(raw.path), full_check=True)


def test_any_language_feeds_images_as_they_are(pair: Pair) -> None:
    _, raw = pair
    image = photo(45, 70)
    session = onnxruntime.InferenceSession(raw.path, providers=["CPUExecutionProvider"])
    (heatmap,) = session.run(["heatmap"], {"pixels": image[None]})
    np.testing.assert_allclose(heatmap[0], raw.explain(image).maps, rtol=1e-6)


def test_float16_models_and_fixed_batches_take_pixels_too(tmp_path: Path) -> None:
    path = tmp_path / "half.onnx"
    options = {"layers": "relu1", "preprocess": preprocess(input=""), "extras": "embed_preprocess"}
    make(Tiny().half(), path, (32, 32), trace=TorchExport(dynamic_batch=False), **options)
    explainer = Explainer(path)
    assert explainer._session.inputs["pixels"].shape[0] == 1
    assert [one.status for one in explainer.explain([SCENE, SCENE[::-1]])] == [["ok"], ["ok"]]


def test_without_a_transform_there_is_nothing_to_embed(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="embed_preprocess needs a training transform; give"):
        embedded_in(tmp_path / "a.onnx", None)
    assert list(tmp_path.iterdir()) == []


def shifted(emit: Emitter, planes: Any, transform: Preprocess, dtype: Any) -> Any:
    return NORMALISE(emit, planes, replace(transform, mean=[0.49, 0.456, 0.406]), dtype)


def not_antialiased(emit: Emitter, planes: Any, transform: Any, before: Any, after: Any) -> Any:
    resized = RESIZE(emit, planes, transform, before, after)
    producer = resized.producer()
    for name in ("antialias", "exclude_outside"):
        producer.attributes[name] = ir.AttrInt64(name, 0)
    return resized


NORMALISE, RESIZE = module._normalise, module._resize
WRONG = {"mean": ("_normalise", shifted), "antialias": ("_resize", not_antialiased)}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`Tiny` as another tool's ONNX file."""
    path = tmp_path_factory.mktemp("plain") / "plain.onnx"
    return to_onnx(seeded(Tiny()), path, (32, 32), opset_version=18)


@pytest.mark.parametrize("of_file", [False, True], ids=["module", "file"])
@pytest.mark.parametrize(("step", "wrong"), WRONG.values(), ids=WRONG)
def test_a_wrong_transform_inside_the_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: Path, step: str, wrong: Any,
    of_file: bool,
) -> None:  # fmt: skip
    """Its pixels are compared before all that the model makes of them."""
    monkeypatch.setattr(module, step, wrong)
    with pytest.raises(VerificationError, match="grey levels off the runtime's on an image of "):
        export(
            plain if of_file else seeded(Tiny()), tmp_path / "a.onnx", None if of_file else EXAMPLE,
            layers="relu" if of_file else "relu1", preprocess=RECORD, extras=["embed_preprocess"],
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("inside", [False, True])
def test_the_training_transform_itself_is_a_witness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: bool
) -> None:
    """Where it can be run, the stored record must give its pixels."""
    presets = pytest.importorskip("torchvision.transforms._presets")
    transform = presets.ImageClassification(crop_size=32, resize_size=36)

    extras = ["embed_preprocess"] * inside
    embedded_in(tmp_path / "a.onnx", transform, extras)
    right = arguments.as_preprocess(transform)
    wrong = replace(right, interpolation="nearest")
    monkeypatch.setattr(arguments, "as_preprocess", lambda _: wrong)
    with pytest.raises(VerificationError, match=r"stored preprocessing is .* grey levels off"):
        embedded_in(tmp_path / "a.onnx", transform, extras)


def test_the_file_that_is_verified_is_the_one_that_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record, the verdict aside, its graph and its weights are the same to the byte."""
    seen: list[bytes] = []

    def checked(artifact: Path, *args: Any, **options: Any) -> Any:
        seen.append(artifact.read_bytes())
        return run_checks.run_checks(artifact, *args, **options)

    monkeypatch.setattr(pipeline, "run_checks", checked)
    path, extras = tmp_path / "a.onnx", ["embed_preprocess", "head", "layercam", "input_gradients"]
    embedded_in(path, preprocess(input=""), extras, labels=list("abcdef"))
    verified, shipped = onnx.ModelProto.FromString(seen[0]), onnx.load(path)
    graph = verified.graph.SerializeToString()
    assert graph in seen[0]
    assert graph in path.read_bytes()
    records = [json.loads(model.metadata_props[0].value) for model in (verified, shipped)]
    verdicts = [record.pop("verification") for record in records]
    assert [verdict["verdict"] for verdict in verdicts] == ["skipped", "pass"]
    assert records[0] == records[1]
    for model in (verified, shipped):
        del model.metadata_props[:]
    assert verified.SerializeToString() == shipped.SerializeToString()


OPTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a fixed batch": ({"trace": TorchExport(dynamic_batch=False)}, {}),
    "grey": ({}, {"mean": [0.5], "std": [0.25]}),
    "the longer side": ({}, {"resize_mode": "longer"}),
    "nearest, both sides": (
        {}, {"interpolation": "nearest", "resize_mode": "exact", "resize": [36, 50]},
    ),
    "no resize": ({}, {"resize": None}),
}  # fmt: skip


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images of three sizes."""
    folder = tmp_path_factory.mktemp("photos")
    for number, shape in enumerate([(60, 100), (33, 35), (101, 60)]):
        Image.fromarray(photo(*shape)).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize(("options", "changes"), OPTIONS.values(), ids=OPTIONS)
def test_the_final_file_is_verified_on_images(
    tmp_path: Path, photos: Path, options: dict[str, Any], changes: dict[str, Any]
) -> None:
    record = preprocess(**{"input": "", "mean": MEAN, "std": STD, **changes})
    colours = len(record.mean)
    report = export(
        seeded(nn.Sequential(nn.Conv2d(colours, 3, 1), Tiny())), tmp_path / "a.onnx",
        (torch.zeros(1, colours, 32, 32),), layers="1.relu1", preprocess=record,
        extras=["embed_preprocess"], images=photos, report=tmp_path / "page", **options,
    )  # fmt: skip
    assert report.verification.reference == "autograd-float64"
    assert max(report.verification.errors.values()) < 1e-5
    assert "PyTorch" in (tmp_path / "page" / "index.html").read_text("utf-8")


def test_a_file_that_takes_images_is_verified_against_source_or_differences(
    tmp_path: Path, photos: Path
) -> None:
    path = tmp_path / "a.onnx"
    embedded_in(path, RECORD, ["embed_preprocess", "input_gradients"], verify="off")
    source = Source(seeded(Tiny()), "model", EXAMPLE, RECORD)
    for origin, reference in ((source, "autograd-float64"), (None, "finite-differences")):
        _, verdict = verify_artifact(path, origin, images=photos)
        assert (verdict.failures, verdict.reference) == ([], reference)
        assert verdict.given == 3


def test_an_artifact_that_takes_images_is_verified_against_its_file(
    tmp_path: Path, plain: Path
) -> None:
    path = tmp_path / "a.onnx"
    report = export(plain, path, layers="relu", preprocess=RECORD, extras=["embed_preprocess"])
    assert report.verification.reference == "finite-differences"
    _, verdict = verify_artifact(path, Source(plain, "plain"))
    assert (verdict.failures, verdict.reference) == ([], "finite-differences")


def test_a_record_of_a_transform_that_the_graph_lacks_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "LAST_NODE", "another")
    with pytest.raises(VerificationError, match="no node is called 'another'"):
        embedded_in(tmp_path / "a.onnx", preprocess(input=""))


def test_methods_that_change_the_models_input_say_what_they_need(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_method(monkeypatch, "changes", lambda batch: pytest.fail("ran"), ("images",))
    with pytest.raises(InputError, match=r"the images as the model takes them, .*; export it with"):
        pair[1].explain(SCENE, method="changes")


def test_flips_are_averaged_and_scaled_values_refused(pair: Pair) -> None:
    one, other = (explainer.explain(SCENE, top=2, augment="flip") for explainer in pair)
    assert np.corrcoef(one.maps.ravel(), other.maps.ravel())[0, 1] > 0.999
    with pytest.raises(InputError, match=r"makes itself; use augment='flip'"):
        pair[1].explain(SCENE, augment=True)
