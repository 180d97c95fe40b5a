"""The record is exchanged without a change of any other byte."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, parser

from graftcam.exporter.artifact.record import digest_with, exchange_record
from graftcam.runtime.spec import METADATA_KEY

# Lengths whose numbers take one, two and three bytes.
TEXTS = ("", "{}", "x" * 127, "y" * 128, "z" * 40_000)


@pytest.fixture
def model() -> onnx.ModelProto:
    """A model with metadata before and after the record, weights, and fields behind them."""
    made = parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 18]> net (float[2] x) => (float[2] y)'
        "{ y = Add(x, w) }"
    )
    weights = numpy_helper.from_array(np.ones(300_000, np.float32), "w")
    made.graph.initializer.append(weights)
    made.producer_name, made.model_version, made.doc_string = "someone", 300, "text"
    helper.set_model_props(made, {"a": "1", METADATA_KEY: "first", "b": "2"})
    inside = [helper.make_node("Neg", ["x"], ["y"])]
    opset = [helper.make_opsetid("", 18)]
    made.functions.append(helper.make_function("own", "F", ["x"], ["y"], inside, opset))
    return made


@pytest.mark.parametrize("text", TEXTS, ids=len)
def test_the_file_is_what_protobuf_writes(
    model: onnx.ModelProto, text: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(model.SerializeToString())
    model.metadata_props[1].value = text
    expected = model.SerializeToString()
    assert digest_with(path, text) == hashlib.sha256(expected).hexdigest()
    exchange_record(path, text)
    assert path.read_bytes() == expected
    exchange_record(path, "first")
    model.metadata_props[1].value = "first"
    assert path.read_bytes() == model.SerializeToString()


def test_the_metadata_may_come_first(model: onnx.ModelProto, tmp_path: Path) -> None:
    """Protobuf leaves the order of the fields to the writer."""
    path = tmp_path / "a.onnx"
    alone = onnx.ModelProto(metadata_props=model.metadata_props)
    model.ClearField("metadata_props")
    path.write_bytes(alone.SerializeToString() + model.SerializeToString())
    exchange_record(path, "second")
    found = onnx.load(path)
    assert {one.key: one.value for one in found.metadata_props}[METADATA_KEY] == "second"
    assert found.graph == model.graph


def test_a_file_without_a_record_is_refused_and_stays(
    model: onnx.ModelProto, tmp_path: Path
) -> None:
    path = tmp_path / "a.onnx"
    model.ClearField("metadata_props")
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match=r"a\.onnx has no 'graftcam' in its metadata"):
        exchange_record(path, "second")
    assert path.read_bytes() == model.SerializeToString()
