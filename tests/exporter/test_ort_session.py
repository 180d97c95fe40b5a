"""Sessions that check something: large weights are given as arrays, and closed sessions go."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from graftcam.exporter.graph import ort_session
from graftcam.exporter.graph.ort_session import Level, options_of, session_of

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 8)).astype(np.float32)
WEIGHTS = RNG.standard_normal((8, 6)).astype(np.float32)


def model(weights: np.ndarray[Any, Any] = WEIGHTS, *, fed: bool = False) -> ir.Model:
    """A product with weights, which are an input too if they may be ``fed``."""
    kind = ir.tensor(weights).dtype
    x, w = (
        ir.Value(name=name, type=ir.TensorType(kind), shape=ir.Shape(shape))
        for name, shape in (("x", ["n", 8]), ("w", [8, 6]))
    )
    w.const_value = ir.tensor(weights, name="w")
    node = ir.node("MatMul", [x, w])
    (y,) = node.outputs
    y.name, y.type, y.shape = "y", ir.TensorType(kind), ir.Shape(["n", 6])
    graph = ir.Graph(
        [x, w] if fed else [x], [y], nodes=[node], initializers=[w],
        opset_imports={"": 18}, name="product",
    )  # fmt: skip
    return ir.Model(graph, ir_version=10)


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of each model that ONNX Runtime is given; weights from 50 bytes on count as large."""
    found: list[int] = []
    plain = onnxruntime.InferenceSession

    def opened(data: bytes, *args: Any, **kwargs: Any) -> Any:
        found.append(len(data))
        return plain(data, *args, **kwargs)

    monkeypatch.setattr(onnxruntime, "InferenceSession", opened)
    monkeypatch.setattr(ort_session, "SMALL", 50)
    return found


@pytest.mark.parametrize("level", ["all", "disable"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_large_weights_are_given_as_arrays(sizes: list[int], level: Level, dtype: type) -> None:
    one = model(WEIGHTS.astype(dtype))
    tensor = one.graph.initializers["w"].const_value
    before = ir.to_proto(one).SerializeToString()
    session = session_of(one, None, level)
    x = X.astype(dtype)
    (found,) = session.run(None, {"x": x})
    np.testing.assert_allclose(found, x @ WEIGHTS.astype(dtype), rtol=1e-2, atol=1e-2)
    assert sizes[0] < len(before) - WEIGHTS.astype(dtype).nbytes + 80
    assert one.graph.initializers["w"].const_value is tensor
    assert ir.to_proto(one).SerializeToString() == before


def test_an_array_need_not_be_contiguous(sizes: list[int]) -> None:
    turned = np.asfortranarray(WEIGHTS)
    (found,) = session_of(model(turned), None).run(None, {"x": X})
    np.testing.assert_allclose(found, X @ WEIGHTS, rtol=1e-5, atol=1e-6)
    assert sizes


def test_weights_that_may_be_fed_stay_in_the_model(sizes: list[int]) -> None:
    session = session_of(model(fed=True), None)
    assert sizes[0] > WEIGHTS.nbytes
    (own,) = session.run(None, {"x": X})
    (other,) = session.run(None, {"x": X, "w": 2 * WEIGHTS})
    np.testing.assert_allclose(other, 2 * own, rtol=1e-6)


def test_a_model_that_cannot_be_loaded_keeps_its_weights(sizes: list[int]) -> None:
    one = model()
    one.graph.node(0).op_type = "NoSuchOperator"
    tensor = one.graph.initializers["w"].const_value
    with pytest.raises(Exception, match="NoSuchOperator"):
        session_of(one, None)
    assert one.graph.initializers["w"].const_value is tensor
    assert sizes


def test_threads_of_a_check_do_not_spin() -> None:
    for level in ("all", "disable"):
        assert options_of(level).get_session_config_entry("session.intra_op.allow_spinning") == "0"
