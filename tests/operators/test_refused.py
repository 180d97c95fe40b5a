"""What has no rule is refused by name; Resize's matrices are those of ONNX Runtime."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from graftcam.exporter.differentiate import registry
from graftcam.exporter.differentiate.support.resampling import Resampling, resampling_matrix
from graftcam.exporter.errors import UnsupportedError
from support.operators.harness import Case, Model, graft, run_ort, session

ROW, X = {"x": (4, 3)}, {"x": (1, 1, 4, 5)}
LAYER = {"w": np.ones((1, 8, 3)), "r": np.ones((1, 8, 2))}
PLACES = {"i": np.array([[[0], [1]]]), "u": np.ones((1, 2))}


def _resize(text: str, scales: list[float] | None = None) -> Case:
    by = f"Resize<{text}>(x, , s)"
    return Case("", f"y = {by}", X, constants={"s": scales or [1.0, 1.0, 2.0, 2.0]})


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
        (Case("", "y = LRN<size=4>(x)", X),
         "ONNX Runtime has no kernel for size=4; use an odd size"),
        (Case("", 'y = Einsum<equation="ab,ab->ab">(x, c)', {"x": (1, 3)},
              constants={"c": np.ones((4, 3))}), "ONNX takes its broadcast axis for 1; Expand the"),
        (_resize('mode="linear"', [1.0, 1.0, 1.125, 1.0]),
         "scale 1.125 keeps axis 2 as it is; runtimes differ there; give 1"),
        (Case("", 'y = Resize<axes=[2, 3], mode="linear", '
              'coordinate_transformation_mode="tf_crop_and_resize">(x, r, , s)', X,
              constants={"s": [4, 5], "r": np.array([0.0, 0.0, 0.5, 0.5])}),
         "a crop that keeps all extents is ignored by ONNX Runtime; crop by Slice"),
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


def test_a_crop_of_an_open_axis_is_refused() -> None:
    case = Case("", 'y = Resize<axes=[2, 3], coordinate_transformation_mode="tf_crop_and_resize">'
                "(x, r, , s)", {"x": ("N", 1, 4, 5)},
                constants={"s": [7, 7], "r": np.array([0.0, 0.0, 0.5, 0.5])})  # fmt: skip
    with pytest.raises(UnsupportedError, match="the extent of axis 3 is unknown; fix it"):
        graft(Model(case, np.float32, 1, (0, 3)))


COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "asymmetric",
    "align_corners",
)


@pytest.mark.parametrize("count", [3, 8, 11])
@pytest.mark.parametrize(
    ("mode", "coordinates", "antialias"),
    [
        *((mode, by, 0) for mode in ("nearest", "linear", "cubic") for by in COORDINATES),
        *((mode, by, 1) for mode in ("linear", "cubic") for by in COORDINATES),
    ],
)
def test_the_matrix_is_what_onnx_runtime_computes(
    mode: str, coordinates: str, antialias: int, count: int
) -> None:
    case = Case(
        "",
        f'y = Resize<axes=[3], mode="{mode}", coordinate_transformation_mode="{coordinates}", '
        f"antialias={antialias}>(x, , , s)",
        {"x": np.eye(5).reshape(1, 5, 1, 5)}, constants={"s": [count]},
    )  # fmt: skip
    y = run_ort(session(Model(case, np.float32, 1).proto), case.feeds(1))["y"]
    settings = {
        "mode": mode, "coordinate_transformation_mode": coordinates, "antialias": antialias,
    }  # fmt: skip
    axis = Resampling(5, count, None, tuple(settings.items()))
    np.testing.assert_allclose(y[0, :, 0].T, resampling_matrix(axis), atol=1e-5)


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
