"""Opening an artifact: the provider, the metadata, and clear refusals."""

from __future__ import annotations

import json
import logging
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from graftcam.runtime import Explainer
from graftcam.runtime.errors import ClassError, InputError, SessionError, SpecError
from graftcam.runtime.session.providers import CPU, CUDA, choose_providers
from support.artifacts import LABELS, preprocess, spec, write_artifact


def test_the_provider_is_logged(artifact: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "graftcam"):
        explainer = Explainer(artifact, "cpu")
    assert explainer.provider == CPU
    assert caplog.messages == [f"patches.onnx runs on {CPU}"]


def test_opening_prints_nothing(artifact: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Explainer(artifact)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("requested", "available", "chosen"),
    [
        (None, [CUDA, CPU], [(CUDA, {}), (CPU, {})]),
        (None, ["AzureExecutionProvider", CPU], [(CPU, {})]),
        ("cpu", [CUDA, CPU], [(CPU, {})]),
        (["CUDA", CPU], [CUDA, CPU], [(CUDA, {}), (CPU, {})]),
        ([("cuda", {"device_id": 1})], [CUDA, CPU], [(CUDA, {"device_id": 1})]),
    ],
)
def test_cuda_comes_first_by_default(
    requested: object, available: list[str], chosen: list[tuple[str, dict[str, object]]]
) -> None:
    assert choose_providers(requested, available) == chosen  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("requested", ["tensorrt", ["TensorrtExecutionProvider", "cpu"], []])
def test_an_unavailable_provider_is_refused_with_those_there_are(requested: list[str]) -> None:
    with pytest.raises(SessionError, match=rf"this ONNX Runtime offers \['{CPU}'\]"):
        choose_providers(requested, [CPU])


class BrokenCuda(types.ModuleType):
    """ONNX Runtime as installed with CUDA on a machine whose driver is missing."""

    SessionOptions = onnxruntime.SessionOptions

    def get_available_providers(self) -> list[str]:
        return [CUDA, CPU]

    def preload_dlls(self) -> None:
        print("Failed to load libcudart.so")

    def InferenceSession(self, path: str, options: object, providers: object) -> object:  # noqa: N802
        assert providers
        return onnxruntime.InferenceSession(path, options, providers=[CPU])


def test_cuda_that_does_not_start_is_an_error_only_if_requested(
    artifact: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", BrokenCuda("onnxruntime"))
    assert Explainer(artifact).provider == CPU
    assert f"{CUDA} is installed but did not start" in caplog.text
    assert Explainer(artifact, ["cuda", "cpu"]).provider == CPU
    with pytest.raises(
        SessionError,
        match=rf"{CUDA} is installed but did not start; check its driver and libraries \(missing: "
        r'libcudart.so; `pip install "graftcam\[gpu\]"` installs those of CUDA\), or choose',
    ):
        Explainer(artifact, "cuda")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("module", [None, types.ModuleType("onnxruntime")], ids=["no", "remains"])
def test_without_onnxruntime_the_error_names_the_command_to_install_it(
    artifact: Path, monkeypatch: pytest.MonkeyPatch, module: types.ModuleType | None
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    with pytest.raises(
        SessionError, match=r'`pip install "graftcam\[cpu\]"`, or `"graftcam\[gpu\]"`'
    ):
        Explainer(artifact)


def test_files_that_are_no_artifact_are_refused_in_one_line(artifact: Path, tmp_path: Path) -> None:
    with pytest.raises(SessionError, match=r"absent.onnx: no such file; make an artifact with"):
        Explainer(tmp_path / "absent.onnx")
    data = artifact.read_bytes()
    for name, content in (
        ("cut.onnx", data[: len(data) // 2]),
        ("text.onnx", b"hello"),
        ("0.onnx", b""),
    ):
        (tmp_path / name).write_bytes(content)
        reason = "as ONNX: " if content else ": it is empty; give another file"
        with pytest.raises(SessionError, match=f"cannot read .*{name} ?{reason}") as caught:
            Explainer(tmp_path / name)
        assert "\n" not in str(caught.value)
    write_artifact(tmp_path / "plain.onnx", metadata="")
    with pytest.raises(
        SpecError, match="has no graftcam metadata; make one with `graftcam export`"
    ):
        Explainer(tmp_path / "plain.onnx")


def test_metadata_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.onnx"
    newer = json.loads(spec().to_json()) | {"version": 99}
    write_artifact(path, metadata=json.dumps(newer))
    with pytest.raises(SpecError, match=r"odd.onnx: artifact follows graftcam spec 99, .*upgrade"):
        Explainer(path)
    layer = replace(spec().layers[0], gradients="elsewhere")
    for record, message in (
        (spec(class_index="index"), r"the graph lacks \['index'\]; export again"),
        (spec(layers=[layer]), r"the graph lacks \['elsewhere'\]"),
        (spec(preprocess=preprocess(input="pixels")), r"the graph lacks \['pixels'\]"),
        (spec(layers=[]), r"layers: \[\] is not a list of objects, 1 or more of them"),
        (spec(labels=LABELS[:3]), "3 labels for 4 classes"),
    ):
        write_artifact(path, metadata=record.to_json())
        with pytest.raises(SpecError, match=message):
            Explainer(path)


def test_run_takes_tensors_and_returns_every_output(artifact: Path) -> None:
    image = np.random.default_rng(0).random((2, 3, 32, 32)).astype(np.float32)
    explainer = Explainer(artifact)
    outputs = explainer.run(image, [[0, -1]])
    assert {name: value.shape for name, value in outputs.items()} == {
        "logits": (2, 4),
        "classes": (2, 2),
        "scores": (2, 2),
        "heatmap": (2, 2, 4, 4),
        "activations": (2, 3, 4, 4),
        "gradients": (2, 2, 3, 4, 4),
    }
    # Every cell weighs the four times redness of its patch, divided by 16 cells.
    redness = image[:, 0].reshape(2, 4, 8, 4, 8).mean(axis=(2, 4))
    np.testing.assert_allclose(outputs["heatmap"][:, 0], redness * 4 / 16, rtol=1e-5)
    named = explainer.run({"image": image, "class_index": np.array([[0, -1]], np.int32)})
    np.testing.assert_array_equal(named["heatmap"], outputs["heatmap"])
    default = explainer.run(image)["classes"]
    np.testing.assert_array_equal(default[:, 0], outputs["logits"].argmax(axis=1))


def test_no_classes_is_plain_prediction(artifact: Path) -> None:
    image = np.ones((2, 3, 32, 32), np.float32)
    outputs = Explainer(artifact).run(image, np.zeros((1, 0), np.int64))
    assert outputs["heatmap"].shape == (2, 0, 4, 4)
    np.testing.assert_allclose(outputs["logits"], [[4, 3, 2, -3]] * 2, rtol=1e-6)


def test_run_refuses_inputs_that_do_not_fit(artifact: Path, tmp_path: Path) -> None:
    explainer = Explainer(artifact)
    image = np.ones((2, 3, 32, 32), np.float32)
    with pytest.raises(
        InputError, match=r"takes \['image', 'class_index'\]; missing \['image'\], unknown \['x'\]"
    ):
        explainer.run({"x": image})
    with pytest.raises(InputError, match="input 'image' is float64; pass float32"):
        explainer.run(image.astype(np.float64))
    with pytest.raises(InputError, match=r"\[2, 1, 32, 32\]; pass \['any', 3, 'any', 'any'\]"):
        explainer.run(image[:, :1])
    with pytest.raises(InputError, match=r"input 'image' has shape \[3, 32, 32\]"):
        explainer.run(image[0])
    with pytest.raises(SessionError, match=r"patches.onnx: the run failed"):
        explainer.run(image[:, :, :4])


@pytest.mark.parametrize(
    "index",
    [[1], [[1.0]], [[[1]]], [[1], [2], [3]], [["red"]]],
    ids=["1d", "float", "3d", "N", "text"],
)
def test_run_refuses_a_class_index_of_another_shape(artifact: Path, index: object) -> None:
    with pytest.raises(ClassError, match=r"class_index is .*; pass integers \[N or 1, K\]"):
        Explainer(artifact).run(np.ones((2, 3, 32, 32), np.float32), np.array(index))


@pytest.mark.parametrize("index", [4, -5])
def test_run_refuses_classes_out_of_range(artifact: Path, index: int) -> None:
    message = rf"class {index} is out of range; the model has 4 classes: 0 to 3, or -1 to -4"
    with pytest.raises(ClassError, match=message):
        Explainer(artifact).run(np.ones((1, 3, 32, 32), np.float32), [[0, index]])
