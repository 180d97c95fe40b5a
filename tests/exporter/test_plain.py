"""An artifact cut back to the model that it was made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch

from graftcam.exporter import export
from graftcam.exporter.artifact.strip import write_plain
from graftcam.exporter.graph import external_data
from graftcam.runtime import Explainer
from graftcam.runtime.errors import SpecError
from support.exports import export_segmenter
from support.nets import Tiny, seeded

EXAMPLE = (torch.zeros(2, 3, 8, 8),)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("artifact") / "m.onnx"
    export(seeded(Tiny()), path, EXAMPLE, verify="off")
    return path


def test_the_models_own_nodes_weights_and_ports_are_left(artifact: Path, tmp_path: Path) -> None:
    write_plain(artifact, tmp_path / "plain.onnx")
    whole, plain = onnx.load(artifact), onnx.load(tmp_path / "plain.onnx")
    own = [node for node in whole.graph.node if not node.name.startswith("grad/")]
    assert [node.SerializeToString() for node in plain.graph.node] == [
        node.SerializeToString() for node in own
    ]
    assert [port.name for port in plain.graph.input] == ["x"]
    assert plain.graph.output == whole.graph.output[:1]
    used = {name for node in own for name in node.input}
    assert {tensor.name for tensor in plain.graph.initializer} <= used
    assert "graftcam" not in {entry.key for entry in plain.metadata_props}
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    [expected] = onnxruntime.InferenceSession(tmp_path / "plain.onnx").run(None, {"x": x})
    found = Explainer(artifact, "cpu").run(x, np.zeros((1, 0), int))
    np.testing.assert_array_equal(found[plain.graph.output[0].name], expected)


def test_a_region_goes_with_the_rest(tmp_path: Path) -> None:
    path = export_segmenter(tmp_path / "m.onnx")
    write_plain(path, tmp_path / "plain.onnx")
    plain = onnx.load(tmp_path / "plain.onnx").graph
    assert [port.name for port in plain.input] == ["image"]
    assert {tensor.name for tensor in plain.initializer} == {"kernel", "weights"}


def test_the_artifact_stays_as_it_is_and_large_weights_go_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external_data, "EMBED_LIMIT", 1000)
    monkeypatch.setattr(external_data, "SMALL", 100)
    path, out = tmp_path / "in" / "m.onnx", tmp_path / "out" / "plain.onnx"
    for folder in (path.parent, out.parent):
        folder.mkdir()
    export(seeded(Tiny()), path, EXAMPLE, verify="off")
    before = {part.name: part.read_bytes() for part in path.parent.iterdir()}
    assert set(before) == {"m.onnx", "m.onnx.data"}
    monkeypatch.chdir(path.parent)
    write_plain(Path("m.onnx"), out)
    assert {part.name: part.read_bytes() for part in path.parent.iterdir()} == before
    assert {part.name for part in out.parent.iterdir()} == {"plain.onnx", "plain.onnx.data"}
    path.unlink()
    (path.parent / "m.onnx.data").unlink()
    session = onnxruntime.InferenceSession(out)
    assert session.run(None, {"x": np.zeros((1, 3, 8, 8), np.float32)})[0].shape == (1, 6)


def test_another_file_is_refused(tmp_path: Path) -> None:
    model = ir.from_onnx_text(
        '<ir_version: 9, opset_import: ["": 18]> g (float[1] x) => (float[1] y) { y = Relu(x) }'
    )
    ir.save(model, tmp_path / "relu.onnx")
    with pytest.raises(SpecError, match=r"relu\.onnx has no graftcam metadata; make one with"):
        write_plain(tmp_path / "relu.onnx", tmp_path / "plain.onnx")
    assert not (tmp_path / "plain.onnx").exists()
