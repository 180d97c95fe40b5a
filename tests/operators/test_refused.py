"""What has no rule is refused by name, with a reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from graftcam.exporter.differentiate import registry
from graftcam.exporter.errors import UnsupportedError
from support.operators.harness import Case, Model, graft

ROW, X = {"x": (4, 3)}, {"x": (1, 1, 4, 5)}
LAYER = {"w": np.ones((1, 8, 3)), "r": np.ones((1, 8, 2))}
PLACES = {"i": np.array([[[0], [1]]]), "u": np.ones((1, 2))}


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        *(
            (Case("", f"y = LSTM<hidden_size=2, {text}>(x, w, r)", {"x": (4, 1, 3)},
                  constants=LAYER), reason)
            for text, reason in (
                ("clip=3.0", "clip has no gradient rule, since runtimes differ there; export with"),
                ("input_forget=1", "input_forget=1 has no gradient rule; export the model with"),
                ('activations=["Sigmoid", "Elu", "Tanh"]',
                 "activation 'elu' has no gradient rule; only Sigmoid, Tanh, Relu have"),
            )
        ),
        (Case("", "y = RNN<hidden_size=2, layout=1>(x, w, r)", {"x": (1, 4, 3)},
              constants={"w": np.ones((1, 2, 3)), "r": np.ones((1, 2, 2))}),
         "layout=1 has no gradient rule (and ONNX Runtime no kernel); export with layout=0"),
        (Case("", "e = Slice(x, b, b, a) y = ReduceSum(e, a)", X, constants={"a": [2], "b": [1]}),
         "its input 'e' is empty, [1, 1, 0, 5]; give larger inputs"),
        (Case("", "y = LRN<size=4>(x)", X),
         "ONNX Runtime has no kernel for size=4; use an odd size"),
        (Case("", 'y = Einsum<equation="ab,ab->ab">(x, c)', {"x": (1, 3)},
              constants={"c": np.ones((4, 3))}), "ONNX takes its broadcast axis for 1; Expand the"),
        (Case("", 'y = Resize<axes=[2, 3], keep_aspect_ratio_policy="not_larger">(x, , , s)', X,
              constants={"s": [7, 7]}),
         "keep_aspect_ratio_policy='not_larger' has no gradient rule where it changes the sizes"),
        (Case("", 'y = GridSample<mode="cubic">(x, g)', {"x": (1, 1, 2, 2, 2)}, opset=20,
              constants={"g": np.zeros((1, 1, 1, 1, 3))}),
         "cubic interpolation along 3 axes has no gradient rule; use mode='linear'"),
        (Case("", 'y = RoiAlign<mode="max", sampling_ratio=1>(x, r, n)', X, opset=21,
              constants={"r": np.ones((1, 4)), "n": np.zeros(1, np.int64)}),
         "mode='max' has no gradient rule (runtimes take the largest weighted cell, not the "
         "largest sample); use mode='avg'"),
        (Case("", "y = MaxUnpool<kernel_shape=[2, 2]>(x, i, s)", X,
              constants={"i": np.zeros((1, 1, 4, 5), np.int64), "s": [1, 1, 6, 6]}),
         "output_shape has no gradient rule, runtimes count its places differently; leave it out"),
        (Case("", "y = DeformConv(x, w, o)", {"x": (1, 1, 2, 2, 2)}, opset=19,
              constants={"w": np.ones((1, 1, 1, 1, 1)), "o": np.ones((1, 3, 2, 2, 2))}),
         "3 spatial axes have no gradient rule; choose a layer after it"),
    ],
)  # fmt: skip
def test_what_has_no_rule_is_refused_with_a_reason(case: Case, reason: str) -> None:
    with pytest.raises(UnsupportedError, match="has no gradient between") as caught:
        graft(Model(case, np.float32, 1))
    assert reason in str(caught.value)


def _failing(*arguments: Any) -> Any:
    raise KeyError("axis")


RELU = Case("", "y = Relu(x)", ROW)


def test_an_exception_in_a_rule_is_a_refusal_that_names_the_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = replace(registry.table()["Relu"], rule=_failing)
    monkeypatch.setitem(registry._TABLE, "Relu", entry)
    reason = r"Relu 'node_0': its gradient rule fails \(KeyError: 'axis'\)"
    with pytest.raises(UnsupportedError, match=reason) as caught:
        graft(Model(RELU, np.float32, 1))
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_exception_in_the_check_of_a_rule_is_a_refusal_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = replace(registry.table()["Relu"], check=_failing)
    monkeypatch.setitem(registry._TABLE, "Relu", entry)
    reason = r"Relu 'node_0': its gradient rule does not cover it \(KeyError: 'axis'\)"
    with pytest.raises(UnsupportedError, match=reason):
        graft(Model(RELU, np.float32, 1))
