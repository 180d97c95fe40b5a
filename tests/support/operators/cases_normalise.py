"""Normalisations in inference mode."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812

from support.operators.harness import SPACE, Case, weights

X = {"x": ("N", 4, 2, 3)}
# Computed in the model's own type; the default is float32.
GROUP = "GroupNormalization<stash_type=FLOAT, epsilon=0.03125"
EPSILON = "epsilon=0.03125"  # a power of two: the same in float32 and float64
STATISTICS = {
    "scale": weights(4), "bias": weights(4), "mean": weights(4),
    "var": weights(4, low=0.5, high=2.0),
}  # fmt: skip


def _batch_norm(name: str, shape: tuple[int | str, ...], **more: object) -> Case:
    return Case(
        name, f"y = BatchNormalization<{EPSILON}>(x, scale, bias, mean, var)", {"x": shape},
        lambda x, scale, bias, mean, var: F.batch_norm(x, mean, var, scale, bias, eps=0.03125),
        STATISTICS, **more,  # type: ignore[arg-type]
    )  # fmt: skip


def _layer_norm(axis: int, shape: tuple[int, ...], **more: object) -> Case:
    return Case(
        f"layer norm from axis {axis}",
        f"y = LayerNormalization<axis={axis}, {EPSILON}>(x, scale, bias)", X,
        lambda x, scale, bias: F.layer_norm(x, shape, scale, bias, eps=0.03125),
        {"scale": weights(*shape), "bias": weights(*shape)}, **more,  # type: ignore[arg-type]
    )  # fmt: skip


CASES = [
    _batch_norm("batch norm", ("N", 4, 2, 3), open=SPACE),
    _batch_norm("batch norm of rows", ("N", 4)),
    _batch_norm("batch norm, 1-d", ("N", 4, 3), opset=15),
    Case("batch norm of one channel", "y = BatchNormalization(x, s, b, m, v)", {"x": ("N", 1, 3)},
         lambda x, s, b, m, v: F.batch_norm(x, m, v, s, b),
         {"s": weights(1), "b": weights(1), "m": weights(1), "v": weights(1, low=0.5, high=1.0)},
         loose=1e-7),
    _layer_norm(-1, (3,)),
    _layer_norm(3, (3,)),
    _layer_norm(-2, (2, 3)),
    _layer_norm(1, (4, 2, 3)),
    _layer_norm(2, (2, 3), open=((0,), (0, 1))),
    Case("layer norm without a bias", f"y = LayerNormalization<{EPSILON}>(x, scale)", X,
         lambda x, scale: F.layer_norm(x, (3,), scale, eps=0.03125), {"scale": weights(3)}),
    Case("instance norm", f"y = InstanceNormalization<{EPSILON}>(x, scale, bias)", X,
         lambda x, scale, bias: F.instance_norm(x, weight=scale, bias=bias, eps=0.03125),
         {"scale": weights(4), "bias": weights(4)}, open=SPACE),
    Case("instance norm, 1-d", f"y = InstanceNormalization<{EPSILON}>(x, scale, bias)",
         {"x": ("N", 2, 5)},
         lambda x, scale, bias: F.instance_norm(x, weight=scale, bias=bias, eps=0.03125),
         {"scale": weights(2), "bias": weights(2)}),
    *(
        Case(f"group norm, {groups} groups",
             f"y = {GROUP}, num_groups={groups}>(x, scale, bias)", X,
             lambda x, scale, bias, groups=groups: F.group_norm(
                 x, groups, scale, bias, eps=0.03125),
             {"scale": weights(4), "bias": weights(4)}, opset=21, open=SPACE)
        for groups in (1, 2, 4)
    ),
    Case("group norm, 1-d", f"y = {GROUP}, num_groups=2>(x, scale, bias)",
         {"x": ("N", 4, 3)}, lambda x, scale, bias: F.group_norm(x, 2, scale, bias, eps=0.03125),
         {"scale": weights(4), "bias": weights(4)}, opset=21),
]  # fmt: skip
