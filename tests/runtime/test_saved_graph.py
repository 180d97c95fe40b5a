"""The reader of the graph that ONNX Runtime saves: nodes, weights, branches and their scopes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graftcam.runtime.errors import SessionError
from graftcam.runtime.tools.bench.floor.saved_graph import SavedGraph, read_graph
from graftcam.runtime.tools.bench.profile import Tensor
from support.onnx_bytes import field, node, onnx_model, tensor

TEXT = """<ir_version: 8, opset_import: ["" : 18]>
g (float[N, 3] x) => (float[N, 2] y) {
    h = MatMul(x, w)
    y = Clip(h, , high)
}"""


def test_nodes_come_with_the_shapes_of_their_weights(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    weights = {"w": np.zeros((3, 2), np.float32), "high": np.zeros((), np.float32)}
    path.write_bytes(onnx_model(TEXT, weights))
    graph = read_graph(path)
    assert [n.operator for n in graph.nodes] == ["MatMul", "Clip"]
    assert graph.nodes[0].weights == {"w": Tensor("float", (3, 2))}
    # An absent input is no value.
    assert graph.nodes[1].inputs == ["h", "high"]
    assert (graph.nodes[1].outputs, graph.outputs) == (["y"], ["y"])


def read_branches(folder: Path) -> SavedGraph:
    """An If whose branch hides the outer weight ``w`` by one of its own, and reads ``x``."""
    branch = (
        field(1, node("z", "MatMul", "", "x, w"))
        + field(5, tensor("w", np.zeros((3, 5), np.float16)))
        + field(12, field(1, "z"))
    )
    asked = (
        field(1, "asked") + field(2, "y") + field(3, "choice") + field(4, "If")
        + field(5, field(1, "then_branch") + field(6, branch))
    )  # fmt: skip
    graph = (
        field(1, node("h", "MatMul", "", "x, w"))
        + field(1, asked)
        + field(5, tensor("w", np.zeros((3, 2), np.float32)))
        + field(11, field(1, "x"))
        + field(12, field(1, "y"))
    )
    path = folder / "if.onnx"
    path.write_bytes(field(1, 8) + field(7, graph))
    return read_graph(path)


def test_a_branch_has_weights_of_its_own_and_reads_outer_values(tmp_path: Path) -> None:
    outer, choice = read_branches(tmp_path).nodes
    assert outer.weights["w"] == Tensor("float", (3, 2))
    assert (choice.name, choice.inputs) == ("choice", ["asked"])
    (inner,) = choice.inner
    assert inner.weights["w"] == Tensor("float16", (3, 5))
    # Its own weight is not a value that the If depends on.
    assert choice.captured == {"x"}
    assert choice.reads == {"asked", "x"}


@pytest.mark.parametrize(
    "content", [b"", b"no model", field(7, b"\x0a\xff"), field(7, b"\x0a\x05ab")]
)
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(SessionError, match=r"m\.onnx is no ONNX file"):
        read_graph(path)
