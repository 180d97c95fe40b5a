"""The graph that comes out means the same everywhere: to every optimiser level and evaluator."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import shape_inference
from torch import nn

from support.exports import Made, make
from support.images import noise
from support.nets import Branches, ChannelsLast
from support.nets_wide import Inception, Mobile, Pyramid, Transformer, Windows
from support.operators.corrected import reference
from support.operators.kernels import needs, without_kernel
from support.sessions import open_session

LEVELS = [
    onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
]
# float32 in another order of additions, through about ten layers.
TOLERANCE = {"rtol": 5e-4, "atol": 2e-5}

MODELS: dict[str, tuple[type[nn.Module], list[str], tuple[int, int]]] = {
    "convolutions": (Mobile, ["stem", "norm"], (21, 18)),
    "pools": (Inception, ["stem"], (12, 8)),
    "transformer": (Transformer, ["norm1"], (8, 12)),
    "shifted windows": (Windows, ["patch", "norm"], (8, 8)),
    "pyramid": (Pyramid, ["fine", "coarse"], (10, 6)),
    "branches": (Branches, ["stem"], (6, 5)),
    "channels last": (ChannelsLast, ["stem", "norm"], (6, 5)),
}


@pytest.fixture(scope="module", params=MODELS.values(), ids=MODELS)
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    kind, layers, size = request.param
    return make(kind(), tmp_path_factory.mktemp("portable") / "m.onnx", size, layers=layers)


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def test_only_standard_operators_of_the_declared_opset(artifact: Made) -> None:
    model = onnx.load(artifact.path)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 18)]
    assert {node.domain for node in _nodes(model.graph)} == {""}
    assert not model.functions


def test_every_added_node_has_kernels(artifact: Made) -> None:
    model = onnx.load(artifact.path)
    added = {node.name for node in model.graph.node if node.name.startswith("grad/")}
    assert len(added) > 20
    assert without_kernel(needs(model, added)) == {}


def test_the_checker_and_strict_shape_inference_agree(artifact: Made) -> None:
    model = onnx.load(artifact.path)
    onnx.checker.check_model(model, full_check=True)
    shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)


def test_all_optimiser_levels_and_the_onnx_reference_give_the_same_numbers(artifact: Made) -> None:
    evaluator = reference(onnx.load(artifact.path))
    names = list(evaluator.output_names)
    sessions = [open_session(artifact.path, level) for level in LEVELS]
    size = sessions[0].get_inputs()[0].shape[2:]
    for count in (1, 3):
        x = noise(count, *size)
        for index in ([], [-1], [1, 0, -2]):
            feeds = {"x": x, "class_index": np.array([index], np.int64)}
            expected = dict(zip(names, evaluator.run(None, feeds), strict=True))
            artifact.check(expected, x, **TOLERANCE)
            for level, opened in zip(LEVELS, sessions, strict=True):
                for name, found in zip(names, opened.run(names, feeds), strict=True):
                    what = f"{name} at {level}, N = {count}, K = {len(index)}"
                    assert found.shape == expected[name].shape, what
                    np.testing.assert_allclose(found, expected[name], **TOLERANCE, err_msg=what)
