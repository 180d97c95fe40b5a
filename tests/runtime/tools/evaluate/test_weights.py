"""A model's weights in a file: which they are, in which order, and the copy with them shuffled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graftcam.runtime.errors import InputError, SessionError
from graftcam.runtime.session.session import Model, Session
from graftcam.runtime.tools.evaluate.randomise.onnx_graph import OnnxGraph
from graftcam.runtime.tools.evaluate.randomise.randomised import Randomised
from graftcam.runtime.tools.evaluate.randomise.shuffle import write_shuffled
from graftcam.runtime.tools.evaluate.randomise.weights import find_weights
from support.artifacts import SCORE, spec, write_artifact
from support.onnx_bytes import onnx_model

RNG = np.random.default_rng(0)


def drawn(*dims: int) -> np.ndarray:
    return RNG.standard_normal(dims).astype(np.float32)


GRAPH = """<ir_version: 8, opset_import: ["" : 18]>
    net (float[N, 4] x) => (float[N, 3] scores)
    {{
        {0}
    }}"""


def written(path: Path, nodes: str, **constants: np.ndarray) -> OnnxGraph:
    path.write_bytes(onnx_model(GRAPH.format(nodes), constants))
    return OnnxGraph(path)


def names(graph: OnnxGraph) -> list[list[str]]:
    return list(find_weights(graph, {"scores"}).found.values())


def test_weights_come_from_the_score_down(tmp_path):
    nodes = """
        a = MatMul(x, first)
        b = Tanh(a)
        c = MatMul(b, second)
        d = Add(b, c)
        scores = Gemm(d, third)
    """
    graph = written(
        tmp_path / "m.onnx", nodes, first=drawn(4, 5), second=drawn(5, 5), third=drawn(5, 3)
    )
    assert names(graph) == [["third"], ["second"], ["first"]]


def test_the_longest_way_decides_and_a_shared_weight_counts_where_it_is_nearest(tmp_path):
    nodes = """
        a = MatMul(x, shared)
        b = MatMul(a, inner)
        c = MatMul(b, shared)
        d = MatMul(x, short)
        e = Add(c, d)
        scores = MatMul(e, last)
    """
    weights = {name: drawn(4, 4) for name in ("shared", "inner", "short")}
    graph = written(tmp_path / "m.onnx", nodes, last=drawn(4, 3), **weights)
    # "short" and the second use of "shared" are equally far; the later one in the file is first.
    assert names(graph) == [["last"], ["short"], ["shared"], ["inner"]]


def test_the_order_in_the_file_may_be_any(tmp_path):
    nodes = """
        scores = MatMul(b, last)
        b = Tanh(a)
        a = MatMul(x, turned)
        turned = Transpose(first)
    """
    graph = written(tmp_path / "m.onnx", nodes, first=drawn(5, 4), last=drawn(5, 3))
    assert names(graph) == [["last"], ["first"]]


def test_a_weight_is_found_behind_nodes_that_rearrange_it(tmp_path):
    nodes = """
        halves = Cast <to = 1> (stored)
        turned = Transpose(halves)
        scaled = Mul(turned, scale)
        scores = MatMul(x, scaled)
    """
    graph = written(
        tmp_path / "m.onnx", nodes, stored=drawn(3, 4).astype(np.float16), scale=np.float32([2.0])
    )
    assert names(graph) == [["stored"]]


def test_biases_other_branches_and_what_no_product_takes_are_no_weights(tmp_path):
    nodes = """
        a = Add(x, positions)
        b = MatMul(a, ones)
        scores = Gemm(b, weight, bias)
        other = MatMul(x, unused)
    """
    graph = written(
        tmp_path / "m.onnx", nodes, positions=drawn(1, 4), ones=np.ones((4, 4), np.float32),
        weight=drawn(4, 3), bias=drawn(1, 3), unused=drawn(4, 4),
    )  # fmt: skip
    found = find_weights(graph, {"scores"})
    assert list(found.found.values()) == [["weight"]]
    assert found.left_out == ["positions", "ones", "bias"]


def test_copies_of_a_weight_are_one_weight_whichever_way_they_lie(tmp_path):
    matrix = drawn(4, 3)
    nodes = """
        a = MatMul(x, forth)
        b = MatMul(a, back)
        scores = MatMul(b, again)
    """
    graph = written(tmp_path / "m.onnx", nodes, forth=matrix, back=matrix.T.copy(), again=matrix)
    assert names(graph) == [["again", "back", "forth"]]
    (tmp_path / "s").mkdir()
    copy = OnnxGraph(
        write_shuffled(graph, find_weights(graph, {"scores"}).top(1), 0, tmp_path / "s")
    )
    again, back, forth = (
        next(copy.numbers(one) for one in copy.tensors if one.name == name)
        for name in ("again", "back", "forth")
    )
    np.testing.assert_array_equal(again, forth)
    np.testing.assert_array_equal(again, back.T)
    assert not np.array_equal(again, matrix.view(np.uint32))
    assert sorted(again.ravel()) == sorted(matrix.view(np.uint32).ravel())


def test_gradients_with_weights_of_their_own_are_refused(tmp_path):
    nodes = """
        scores = MatMul(x, weight)
        other = MatMul(x, apart)
    """
    weights = {"weight": drawn(4, 3), "apart": drawn(4, 3)}
    graph = written(tmp_path / "m.onnx", nodes, **weights)
    assert names(graph) == [["weight"]]  # "apart" is of another output
    called = {"other": "grad/other"}
    graph.path.write_bytes(onnx_model(GRAPH.format(nodes), weights, node_names=called))
    with pytest.raises(InputError, match="the gradients use 'apart', which the model does not"):
        names(OnnxGraph(graph.path))


def test_constants_that_an_export_added_are_no_copies_of_a_weight(tmp_path):
    unit = np.eye(4, dtype=np.float32)
    nodes = """
        scores = MatMul(x, weight)
        moved = MatMul(x, constant)
    """
    text = GRAPH.format(nodes).replace("constant", "grad_const")
    data = onnx_model(text, {"weight": unit, "grad_const": unit})
    path = tmp_path / "m.onnx"
    path.write_bytes(data.replace(b"grad_const", b"grad/const"))
    graph = OnnxGraph(path)
    (tmp_path / "s").mkdir()
    copy = OnnxGraph(
        write_shuffled(graph, find_weights(graph, {"scores"}).top(1), 0, tmp_path / "s")
    )
    weight, added = map(copy.numbers, copy.tensors)
    assert not np.array_equal(weight, unit.view(np.uint32))
    np.testing.assert_array_equal(added, unit.view(np.uint32))


def test_a_score_that_the_file_lacks_is_named(tmp_path):
    graph = written(tmp_path / "m.onnx", "scores = MatMul(x, weight)", weight=drawn(4, 3))
    with pytest.raises(InputError, match="has none of the values"):
        find_weights(graph, {"logits"})


def test_what_is_no_onnx_file_is_refused(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"\x3a\x05no")
    with pytest.raises(SessionError, match=r"cannot read m.onnx as ONNX"):
        OnnxGraph(tmp_path / "m.onnx")


def test_names_that_are_no_text_are_refused(tmp_path):
    data = onnx_model(GRAPH.format("scores = MatMul(x, weight)"), {"weight": drawn(4, 3)})
    (tmp_path / "m.onnx").write_bytes(data.replace(b"MatMul", b"MatM\xff\xff"))
    with pytest.raises(SessionError, match=r"cannot read m.onnx as ONNX: .*utf-8"):
        OnnxGraph(tmp_path / "m.onnx")


def test_only_the_chosen_weights_change(tmp_path):
    nodes = """
        a = MatMul(x, first)
        scores = MatMul(a, second)
    """
    first, second = drawn(4, 6), drawn(6, 3)
    graph = written(tmp_path / "m.onnx", nodes, first=first, second=second)
    (tmp_path / "s").mkdir()
    path = write_shuffled(graph, find_weights(graph, {"scores"}).top(1), 7, tmp_path / "s")
    before, after = (one.read_bytes() for one in (graph.path, path))
    assert len(before) == len(after)
    assert first.tobytes() in after
    assert second.tobytes() not in after
    x = drawn(2, 4)
    assert Model(path).run({"x": x})["scores"].shape == (2, 3)
    assert before == graph.path.read_bytes()


def test_the_seed_decides(artifact, tmp_path):
    graph = OnnxGraph(artifact)
    found = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / name).mkdir()
        contents = find_weights(graph, {"logits"}).top(2)
        found.append(write_shuffled(graph, contents, seed, tmp_path / name).read_bytes())
    assert found[0] == found[1] != found[2]


def test_stages_shuffle_more_and_more_and_leave_no_files(artifact, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    opened: list[Path] = []

    def open_session(path: Path) -> Session:
        opened.append(path)
        return Session(path)

    session = Session(artifact)
    before = artifact.read_bytes()
    with Randomised(artifact, session.spec, open_session) as randomised:
        assert randomised.counts == [1, 2]  # of two weights
        assert opened == []
        first, last = randomised.sessions
        assert randomised.session(1) is last
        assert len(opened) == 2
        assert [one.is_file() for one in tmp_path.rglob("*")] == [False]  # the folder
        image = np.random.default_rng(0).random((1, 3, 32, 32)).astype(np.float32)
        maps = [one.run({"image": image}) for one in (session, first, last)]
        layer = session.spec.layers[0]
        kept = [one[layer.activations] for one in maps]
        np.testing.assert_array_equal(kept[0], kept[1])  # the layer lies below the first stage
        assert not np.array_equal(kept[0], kept[2])
    assert list(tmp_path.iterdir()) == []
    assert artifact.read_bytes() == before


@pytest.mark.parametrize(("name", "value"), [("stages", 0), ("seed", -1), ("stages", 1.5)])
def test_wrong_numbers_are_refused(artifact, name, value):
    with pytest.raises(InputError, match=name):
        Randomised(artifact, Session(artifact).spec, Session, **{name: value})


def test_a_weight_of_one_number_only_is_left_out(tmp_path):
    path = write_artifact(tmp_path / "m.onnx", weights=[[1.0] * 3] * 4)
    with Randomised(path, Session(path).spec, Session) as randomised:
        assert list(randomised.weights.found.values()) == [["kernel"]]
        assert randomised.weights.left_out == ["weights"]


def test_a_model_without_weights_is_refused(tmp_path):
    graph = written(tmp_path / "m.onnx", "scores = Relu(x)")
    named = spec(score=replace(SCORE, value="scores"))
    with pytest.raises(InputError, match=r"m.onnx has no weights that can be shuffled"):
        Randomised(graph.path, named, Session)
