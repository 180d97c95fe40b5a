"""Model repositories for Triton: the configuration says what the session says."""

from __future__ import annotations

import json
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf import text_format

from graftcam.runtime import Explainer
from graftcam.runtime.session.session import Session
from graftcam.runtime.spec import Spec
from graftcam.runtime.tools.package.triton import write_repository
from support.artifacts import LABELS, spec, write_artifact, write_segmenter
from support.browser import need
from support.cli import succeed


@cache
def schema() -> Any:
    """Triton's own model_config.proto, without the client that it comes with."""
    found = find_spec("tritonclient")
    need(found, "tritonclient (pip install --no-deps tritonclient)")
    (folder,) = found.submodule_search_locations or []
    path = Path(folder, "grpc", "model_config_pb2.py")
    loaded = spec_from_file_location(path.stem, path)
    module = module_from_spec(loaded)
    loaded.loader.exec_module(module)
    return module


def read(folder: Path) -> Any:
    """Parse config.pbtxt with the server's own schema."""
    text = (folder / "config.pbtxt").read_text("utf-8")
    return text_format.Parse(text, schema().ModelConfig())


def named(tensors: list) -> dict:
    return {tensor.name: tensor for tensor in tensors}


def test_the_folder_holds_the_artifact_its_labels_and_a_configuration(tmp_path: Path) -> None:
    artifact = write_artifact(tmp_path / "patches.onnx")
    result = succeed("package", artifact, "--triton", "-o", tmp_path / "models")
    folder = tmp_path / "models" / "patches"
    assert result.stdout.split() == [
        str(folder / name) for name in ("1/model.onnx", "config.pbtxt", "labels.txt")
    ]
    assert (folder / "1" / "model.onnx").read_bytes() == artifact.read_bytes()
    assert (folder / "labels.txt").read_text().split() == LABELS
    config = read(folder)
    assert (config.name, config.platform) == ("patches", "onnxruntime_onnx")
    assert Spec.from_json(config.parameters["graftcam"].string_value) == spec()


@pytest.mark.parametrize("tensors", [False, True])
def test_without_batching_every_axis_is_the_clients_and_classes_are_optional(
    tmp_path: Path, tensors: bool
) -> None:
    artifact = write_artifact(tmp_path / "patches.onnx")
    config = read(write_repository(artifact, tmp_path, "m", tensors=tensors))
    session = Session(artifact, "cpu")
    assert config.max_batch_size == 0
    assert not config.HasField("dynamic_batching")
    inputs, outputs = named(config.input), named(config.output)
    assert {name: tensor.optional for name, tensor in inputs.items()} == {
        "image": False, "class_index": True,
    }  # fmt: skip
    left_out = set() if tensors else {"activations", "gradients"}
    assert set(outputs) == set(session.outputs) - left_out
    shapes = {name: port.shape for name, port in session.inputs.items()} | session.outputs
    for name, tensor in {**inputs, **outputs}.items():
        assert list(tensor.dims) == [-1 if e is None else e for e in shapes[name]], name
        integer = name in ("class_index", "classes")
        assert tensor.data_type == (schema().TYPE_INT64 if integer else schema().TYPE_FP32)
    labelled = {name for name, tensor in outputs.items() if tensor.label_filename}
    assert labelled == ({"logits"} if session.outputs["logits"][1] == 4 else set())


def test_with_batching_the_first_axis_is_the_servers_and_defaults_stay(tmp_path: Path) -> None:
    """Triton refuses optional inputs beside batching, so the predicted class is explained."""
    artifact = write_artifact(tmp_path / "patches.onnx")
    config = read(write_repository(artifact, tmp_path, "m", 8))
    assert config.max_batch_size == 8
    assert config.HasField("dynamic_batching")
    assert {name: list(tensor.dims) for name, tensor in named(config.input).items()} == {
        "image": [3, -1, -1]
    }
    outputs = named(config.output)
    assert list(outputs["heatmap"].dims) == [-1, -1, -1]
    assert list(outputs["classes"].dims) == [-1]


def test_with_batching_a_web_artifact_still_takes_classes_and_regions(tmp_path: Path) -> None:
    artifact = write_segmenter(tmp_path / "m.onnx", profile="web")
    inputs = named(read(write_repository(artifact, tmp_path, max_batch=4)).input)
    assert {name: list(tensor.dims) for name, tensor in inputs.items()} == {
        "image": [3, 32, 32], "class_index": [-1], "region": [-1, -1, -1],
    }  # fmt: skip
    assert not any(tensor.optional for tensor in inputs.values())


def test_a_tensor_without_axes_of_its_own_is_one_number(tmp_path: Path) -> None:
    more = (", float[N] best_score", "best_score = ReduceMax <keepdims = 0> (logits, i1)")
    artifact = write_artifact(tmp_path / "patches.onnx", more=more)
    (output,) = (t for t in read(write_repository(artifact, tmp_path, max_batch=2)).output
                 if t.name == "best_score")  # fmt: skip
    assert list(output.dims) == [1]
    assert output.HasField("reshape")
    assert list(output.reshape.shape) == []


def test_labels_and_names_may_hold_any_character(tmp_path: Path) -> None:
    record = spec(labels=['the "best"', "back\\slash", "größe", "日本"])
    artifact = write_artifact(tmp_path / "a.onnx", record)
    config = read(write_repository(artifact, tmp_path, "größe"))
    assert config.name == "größe"
    assert json.loads(config.parameters["graftcam"].string_value)["labels"] == record.labels


def test_weights_beside_the_artifact_come_along(tmp_path: Path) -> None:
    artifact = write_artifact(tmp_path / "m.onnx")
    onnx.save(onnx.load(artifact), artifact, save_as_external_data=True, location="m.onnx.data",
              size_threshold=100)  # fmt: skip
    folder = write_repository(artifact, tmp_path / "models")
    model = folder / "1" / "model.onnx" / "model.onnx"
    assert sorted(path.name for path in model.parent.iterdir()) == ["m.onnx.data", "model.onnx"]
    x = np.random.default_rng(0).random((1, 3, 32, 32), np.float32)
    ours, theirs = (Explainer(path, "cpu").run(x)["heatmap"] for path in (artifact, model))
    np.testing.assert_array_equal(ours, theirs)
