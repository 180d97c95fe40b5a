"""Several operators: cotangents that meet, and lazy ones that pass through."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from support.operators.harness import SPACE, Case, weights

X = {"x": ("N", 2, 3, 4)}
HW, W, H = [2, 3], [3], [2]
GELU = {"root": 2**0.5, "inverse": 0.5**0.5, "one": 1.0, "half": 0.5, "three": 3.0}


def _dense_block(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    b = torch.cat([x, z], 1).tanh()
    c = torch.cat([x, z, b], 1)
    return torch.cat([x, z, b, c * c], 1).tanh()


PHI = "e = Erf(u) p = Add(e, one)"
# With open height and width: name, nodes, twin, constants.
OVER_SPACE = [
    (
        "means over different axes",
        "a = ReduceMean(x, h) b = ReduceMean(x, w) y = Add(a, b)",
        lambda x: x.mean(2, keepdim=True) + x.mean(3, keepdim=True),
        {"h": H, "w": W},
    ),
    (
        "a mean and the whole",
        "m = ReduceMean(x, hw) y = Sub(x, m)",
        lambda x: x - x.mean((2, 3), keepdim=True),
        {"hw": HW},
    ),
    (
        "sums with factors of their own",
        "m = ReduceMean(x, hw) s = ReduceSum(x, hw) n = Neg(s) y = Add(m, n)",
        lambda x: x.mean((2, 3), True) - x.sum((2, 3), True),
        {"hw": HW},
    ),
    (
        "squeeze and excite",
        "p = GlobalAveragePool(x) q = Conv(p, w) g = Sigmoid(q) y = Mul(g, x)",
        lambda x, w: x * torch.sigmoid(F.conv2d(x.mean((2, 3), keepdim=True), w)),
        {"w": weights(2, 2, 1, 1)},
    ),
    (
        "the mean of a padded 1 x 1 convolution",
        "c = Conv<pads=[1, 0, 0, 1]>(x, w) y = GlobalAveragePool(c)",
        lambda x, w: F.conv2d(F.pad(x, (0, 1, 1, 0)), w).mean((2, 3), keepdim=True),
        {"w": weights(3, 2, 1, 1)},
    ),
    (
        "a pooled linear head",
        "p = GlobalAveragePool(x) f = Flatten(p) y = Gemm<transB=1>(f, w, b)",
        lambda x, w, b: x.mean((2, 3)) @ w.T + b,
        {"w": weights(3, 2), "b": weights(3)},
    ),
    (
        "a head over channels-last",
        "t = Transpose<perm=[0, 2, 3, 1]>(x) p = ReduceMean<keepdims=0>(t, hw) y = MatMul(p, w)",
        lambda x, w: x.mean((2, 3)) @ w,
        {"w": weights(2, 3), "hw": [1, 2]},
    ),
    (
        "pooled branches joined",
        "a = GlobalAveragePool(x) t = Tanh(x) b = GlobalAveragePool(t) y = Concat<axis=1>(a, b)",
        lambda x: torch.cat([x.mean((2, 3), True), x.tanh().mean((2, 3), True)], 1),
        {},
    ),
    (
        "an expanded mean",
        "p = GlobalAveragePool(x) s = Shape(x) e = Expand(p, s) y = Mul(e, x)",
        lambda x: x.mean((2, 3), keepdim=True) * x,
        {},
    ),
    (
        "a scaled mean of a scaled value",
        "a = Mul(x, c) p = GlobalAveragePool(a) y = Div(p, d)",
        lambda x, c, d: (x * c).mean((2, 3), keepdim=True) / d,
        {"c": weights(2, 1, 1), "d": weights(1, low=1.0, high=2.0)},
    ),
]
# Forms of GELU that exporters write: name, nodes, twin.
GELUS = [
    ("as PyTorch writes it", f"u = Div(x, root) {PHI} h = Mul(half, p) y = Mul(x, h)", F.gelu),
    (
        "with the half last",
        "u = Mul(x, inverse) e = Erf(u) p = Add(one, e) h = Mul(x, p) y = Mul(h, half)",
        F.gelu,
    ),
    ("with the half first", f"u = Div(x, root) {PHI} h = Mul(half, x) y = Mul(h, p)", F.gelu),
    ("without the half", f"u = Div(x, root) {PHI} y = Mul(x, p)", lambda x: 2 * F.gelu(x)),
    (
        "of three times x",
        f"z = Mul(x, three) u = Div(z, root) {PHI} h = Mul(half, p) y = Mul(z, h)",
        lambda x: F.gelu(3 * x),
    ),
]
# Operators that meet on the batch alone: name, nodes, twin.
PLAIN = [
    ("a residual", "r = Tanh(x) y = Add(x, r)", lambda x: x + x.tanh()),
    (
        "three consumers",
        "a = Tanh(x) b = Neg(x) c = Mul(x, a) d = Add(b, c) y = Sub(d, x)",
        lambda x: -x + x * x.tanh() - x,
    ),
    ("silu", "s = Sigmoid(x) y = Mul(x, s)", F.silu),
    ("silu, the gate first", "s = Sigmoid(x) y = Mul(s, x)", F.silu),
    (
        "silu whose gate is used again",
        "s = Sigmoid(x) p = Mul(x, s) y = Add(p, s)",
        lambda x: F.silu(x) + torch.sigmoid(x),
    ),
    (
        "silu of a silu",
        "s = Sigmoid(x) a = Mul(x, s) t = Sigmoid(a) y = Mul(t, a)",
        lambda x: F.silu(F.silu(x)),
    ),
    (
        "a gate of another's",
        "s = Sigmoid(x) t = Tanh(x) y = Mul(t, s)",
        lambda x: x.tanh() * torch.sigmoid(x),
    ),
]

CASES = [
    *(Case(name, body, X, twin) for name, body, twin in PLAIN),
    *(Case(*row[:2], X, *row[2:], open=SPACE) for row in OVER_SPACE),
    *(Case(f"gelu {name}", body, X, twin, GELU, loose=1e-7) for name, body, twin in GELUS),
    Case("silu, far out", "s = Sigmoid(x) y = Mul(x, s)", X, F.silu, span=(-40.0, 40.0)),
    Case(
        "a layer norm spelled out",
        "m = ReduceMean(x, w) c = Sub(x, m) q = Mul(c, c) v = ReduceMean(q, w) e = Add(v, eps) "
        "s = Sqrt(e) y = Div(c, s)",
        X,
        lambda x: F.layer_norm(x, (4,), eps=0.03125),
        {"w": W, "eps": 0.03125},
    ),
    *(
        Case(
            f"the mean of a 1 x 1 convolution, {groups} groups",
            f"c = Conv<group={groups}>(x, w) b = BatchNormalization(c, s, t, t, v) "
            "y = GlobalAveragePool(b)",
            {"x": ("N", 4, 2, 3)},
            lambda x, w, s, t, v, groups=groups: F.batch_norm(
                F.conv2d(x, w, groups=groups), t, v, s, t
            ).mean((2, 3), keepdim=True),
            {"w": weights(2, 4 // groups, 1, 1), "s": weights(2), "t": weights(2)}
            | {"v": weights(2, low=0.5, high=2.0)},
            open=SPACE,
            loose=1e-7,
        )
        for groups in (1, 2)
    ),
    Case(
        "the mean of tokens",
        "m = MatMul(x, w) a = Add(m, b) y = ReduceMean<keepdims=0>(a, t)",
        {"x": ("N", 3, 2)},
        lambda x, w, b: (x @ w + b).mean(1),
        {"w": weights(2, 4), "b": weights(4), "t": [1]},
    ),
    Case(
        "the whole and its mean, broadcast before",
        "e = Expand(x, to) m = ReduceMean(e, hw) y = Add(e, m)",
        {"x": ("N", 2, 1, 1)},
        lambda x: 2 * x.expand(-1, -1, 3, 4),
        {"to": [1, 1, 3, 4], "hw": HW},
    ),
    Case(
        "a dense block",
        "a = Concat<axis=1>(x, z) b = Tanh(a) c = Concat<axis=1>(x, z, b) d = Mul(c, c) "
        "e = Concat<axis=1>(x, z, b, d) y = Tanh(e)",
        {**X, "z": ("N", 1, 3, 4)},
        _dense_block,
    ),
    Case(
        "joins that begin alike along other axes",
        "a = Concat<axis=1>(x, z) b = Concat<axis=2>(x, z, x) c = Tanh(a) "
        "p = ReduceMean(c, chw) q = ReduceMean(b, chw) y = Mul(p, q)",
        {**X, "z": ("N", 2, 3, 4)},
        lambda x, z: (
            torch.cat([x, z], 1).tanh().mean((1, 2, 3), True)
            * torch.cat([x, z, x], 2).mean((1, 2, 3), True)
        ),
        {"chw": [1, 2, 3]},
    ),
]
