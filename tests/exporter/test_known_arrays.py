"""What shapes and constants decide is evaluated once, and never larger than memory."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graftcam.exporter.graph.constant_folding import KnownArrays
from support.onnx_text import parsed

CONSTANTS = {
    "many": np.int64([1 << 20, 1 << 20]),
    "few": np.int64([2, 3]),
    "pads": np.int64([0, 0, 0, 1 << 30]),
    "zero": np.int64(0),
    "end": np.int64(1 << 40),
    "one": np.int64(1),
    "row": np.ones((1, 1024), np.int64),
    "column": np.ones((1024, 1), np.int64),
    "deep": np.ones((1024, 1, 1), np.int64),
}


def known(body: str) -> np.ndarray | None:
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
        g (float[N, 3] x) => (int64[] y) {{ {body} }}"""
    graph = ir.from_proto(parsed(text, CONSTANTS)).graph
    return KnownArrays(18).of(graph.outputs[0])


@pytest.mark.parametrize(
    "body",
    [
        "y = ConstantOfShape(many)",
        "y = Expand(one, many)",
        "y = Tile(row, many)",
        "y = Range(zero, end, one)",
        "y = Pad(row, pads)",
        "a = Add(row, column) y = Add(a, deep)",
    ],
)
def test_what_no_memory_holds_stays_unknown(body: str) -> None:
    assert known(body) is None


def test_what_is_small_is_known() -> None:
    assert known("y = ConstantOfShape(few)").shape == (2, 3)
    assert np.array_equal(known("a = Mul(few, few) y = Sub(a, few)"), [2, 6])
    assert known("s = Shape(x) y = Add(s, s)") is None
    assert known("s = Shape(x) y = Gather(s, one)").item() == 3


def test_each_node_is_evaluated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from graftcam.exporter.graph import constant_folding

    ran: list[str] = []
    evaluate = constant_folding._run
    monkeypatch.setattr(
        constant_folding, "_run",
        lambda node, *rest: (ran.append(node.outputs[0].name), evaluate(node, *rest))[1],
    )  # fmt: skip
    lines = ["v0 = Identity(few)", *(f"v{n + 1} = Add(v{n}, v{n})" for n in range(40))]
    found = known("\n".join([*lines, "y = Identity(v40)"]))
    assert found is not None
    assert found[0] == 2 << 40
    assert len(ran) == len({*ran}) == 42
