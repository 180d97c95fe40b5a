"""Activation functions and softmax; corner cases follow PyTorch."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from support.operators.harness import Case

X = {"x": ("N", 2, 3)}
# Attributes are float32; PyTorch's numbers are float64.
ROUNDED = 1e-7
SIXTH = float(np.float32(1 / 6))


def _kinks(*numbers: float) -> dict[str, np.ndarray]:
    return {"x": np.array([numbers])}


CASES = [
    Case("relu", "y = Relu(x)", X, torch.relu),
    Case(
        "relu at zero", "y = Relu(x)", _kinks(-1, -0.0, 0, 1), torch.relu,
        kink=True, expected={"x": [[0, 0, 0, 1]]},
    ),
    Case(
        "leaky relu", "y = LeakyRelu<alpha=0.125>(x)", X, lambda x: F.leaky_relu(x, 0.125)
    ),
    Case("leaky relu by default", "y = LeakyRelu(x)", X, F.leaky_relu, loose=ROUNDED),
    Case(
        "leaky relu at zero", "y = LeakyRelu<alpha=0.25>(x)", _kinks(-1, 0, 1),
        lambda x: F.leaky_relu(x, 0.25), kink=True, expected={"x": [[0.25, 0.25, 1]]},
    ),
    Case(
        "leaky relu that falls", "y = LeakyRelu<alpha=-0.5>(x)", X,
        lambda x: F.leaky_relu(x, -0.5),
    ),
    Case("leaky relu without a leak", "y = LeakyRelu<alpha=0.0>(x)", X,
         lambda x: F.leaky_relu(x, 0.0)),
    Case(
        "prelu by channel", "y = PRelu(x, slope)", {"x": ("N", 2, 3)},
        lambda x, slope: F.prelu(x, slope.reshape(-1)), {"slope": [[0.25], [-0.5]]},
    ),
    Case(
        "prelu, one slope", "y = PRelu(x, slope)", X,
        lambda x, slope: torch.where(x > 0, x, slope * x), {"slope": np.array([0.2])},
    ),
    Case(
        "prelu at zero", "y = PRelu(x, slope)", _kinks(-1, 0, 1),
        lambda x, slope: torch.where(x > 0, x, slope * x), {"slope": np.array([0.25])},
        kink=True, expected={"x": [[0.25, 0.25, 1]]},
    ),
    Case("elu", "y = Elu<alpha=0.75>(x)", X, lambda x: F.elu(x, 0.75)),
    Case(
        "elu at zero", "y = Elu<alpha=0.5>(x)", _kinks(0, 1), lambda x: F.elu(x, 0.5),
        kink=True, expected={"x": [[0.5, 1]]},
    ),
    Case("selu", "y = Selu(x)", X, F.selu, loose=ROUNDED),
    Case("selu of one's own", "y = Selu<alpha=0.5, gamma=1.5>(x)", X),
    Case("sigmoid", "y = Sigmoid(x)", X, torch.sigmoid),
    Case("sigmoid, saturated", "y = Sigmoid(x)", X, torch.sigmoid, span=(-60, 60)),
    Case("tanh", "y = Tanh(x)", X, torch.tanh),
    Case("hard sigmoid", "y = HardSigmoid<alpha=0.25, beta=0.5>(x)", X, span=(-4, 4)),
    Case(
        "hard sigmoid by default", "y = HardSigmoid(x)", X, span=(-4, 4),
    ),
    Case(
        "hard sigmoid of PyTorch", f"y = HardSigmoid<alpha={SIXTH:.10f}, beta=0.5>(x)", X,
        F.hardsigmoid, span=(-5, 5), loose=ROUNDED,
    ),
    Case(
        "hard sigmoid at its bounds", f"y = HardSigmoid<alpha={SIXTH:.10f}, beta=0.5>(x)",
        _kinks(-3, 0, 3), F.hardsigmoid, kink=True, loose=ROUNDED,
        expected={"x": [[0, SIXTH, 0]]},
    ),
    Case("hard swish", "y = HardSwish(x)", X, F.hardswish, span=(-5, 5), loose=ROUNDED),
    Case(
        "hard swish at its bounds", "y = HardSwish(x)", _kinks(-3.5, -3, 0, 3, 3.5),
        F.hardswish, kink=True, loose=ROUNDED, expected={"x": [[0, 0, 0.5, 1, 1]]},
    ),
    Case("hard swish, opset 22", "y = HardSwish(x)", X, span=(-5, 5), opset=22),
    Case("softplus", "y = Softplus(x)", X, F.softplus),
    Case("softsign", "y = Softsign(x)", X, F.softsign),
    Case("mish", "y = Mish(x)", X, F.mish),
    Case("gelu", "y = Gelu(x)", X, F.gelu, opset=20, reference="none",
         remark="the reference evaluator computes Erf in float32"),
    Case(
        "gelu by tanh", 'y = Gelu<approximate="tanh">(x)', X,
        lambda x: F.gelu(x, approximate="tanh"), opset=20, loose=ROUNDED,
    ),
    *(
        Case(
            f"softmax, axis {axis}", f"y = Softmax<axis={axis}>(x)", {"x": ("N", 2, 3, 2)},
            lambda x, axis=axis: torch.softmax(x, axis),
        )
        for axis in (-4, -2, 0, 1, 2, 3)
    ),
    Case("softmax by default", "y = Softmax(x)", X, lambda x: torch.softmax(x, -1)),
    *(
        Case(
            f"log softmax, axis {axis}", f"y = LogSoftmax<axis={axis}>(x)", X,
            lambda x, axis=axis: torch.log_softmax(x, axis),
        )
        for axis in (-1, 0, 1)
    ),
]  # fmt: skip
