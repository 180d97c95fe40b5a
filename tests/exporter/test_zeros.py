"""Gradients at zeros, equal values and bounds are PyTorch's own, wherever these are finite."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.nn import functional

from graftcam.exporter import export
from support.onnx_text import parsed
from support.sessions import open_session, results

_Function: TypeAlias = Callable[[torch.Tensor], Any]
_BOUND = 0.75  # equal values, whose mean and multiples are exact

NORMS: dict[str, _Function] = {
    "std": lambda y: y.std(2),
    "std of all, biased": lambda y: y.std((1, 2), unbiased=False),
    "std_mean": lambda y: sum(torch.std_mean(y, 2)),
    "standardised": lambda y: (y - y.mean(2, keepdim=True)) / (y.std(2, keepdim=True) + 1e-5),
    "norm": lambda y: y.norm(dim=2),
    "vector_norm 1": lambda y: torch.linalg.vector_norm(y, 1, 2),
    "vector_norm 2": lambda y: torch.linalg.vector_norm(y, 2, (1, 2)),
    "vector_norm 3": lambda y: torch.linalg.vector_norm(y, 3, 2),
    "vector_norm 4": lambda y: torch.linalg.vector_norm(y, 4, 2, keepdim=True),
    "vector_norm 1.5": lambda y: torch.linalg.vector_norm(y, 1.5, 2),
    "vector_norm inf": lambda y: torch.linalg.vector_norm(y, torch.inf, 2),
    "normalize": lambda y: functional.normalize(y, dim=2).square(),
    "normalize 3": lambda y: functional.normalize(y, p=3, dim=2).square(),
    "cosine_similarity": lambda y: functional.cosine_similarity(y, y.flip(1) + 0.1, dim=2),
    "pairwise_distance": lambda y: functional.pairwise_distance(y, y.flip(1)),
    "lp_pool 2": lambda y: functional.lp_pool1d(y, 2, 3),
    "lp_pool 3": lambda y: functional.lp_pool1d(y, 3, 3),
    "var": lambda y: y.var(2),
    "layer_norm": lambda y: functional.layer_norm(y, (6,)).pow(3),
    "group_norm": lambda y: functional.group_norm(y, 2).pow(3),
    "prod": lambda y: y.prod(2),
    "logsumexp": lambda y: y.logsumexp(2),
    "pow 0": lambda y: y**0,
    "pow 1.5": lambda y: y**1.5,
    "pow of a tensor": lambda y: y ** (y + 1.5),
    "xlogy": lambda y: torch.xlogy(y, y + 1.5),
    "xlogy of a number": lambda y: torch.xlogy(y, 0.5),
    "xlogy of logarithms without end": lambda y: torch.xlogy(y * 0 + (y > 0.5), y),
    "xlog1py": lambda y: torch.special.xlog1py(y, y + 0.5),
    "logaddexp": lambda y: torch.logaddexp(y, y.flip(1)),
    "share of the largest": lambda y: y / y.amax(2, keepdim=True).clamp(min=1e-3),
}
KINKS: dict[str, _Function] = {
    "abs": lambda y: y.abs(),
    "relu": functional.relu,
    "leaky_relu": functional.leaky_relu,
    "elu": functional.elu,
    "celu": functional.celu,
    "selu": functional.selu,
    "relu6": functional.relu6,
    "relu6 at 6": lambda y: functional.relu6(y * 8),
    "hardtanh": lambda y: functional.hardtanh(y, 0.0, _BOUND),
    "hardsigmoid": lambda y: functional.hardsigmoid(4 * y - 3),
    "hardswish": lambda y: functional.hardswish(8 * y - 3),
    "threshold": lambda y: functional.threshold(y, _BOUND, 0.0),
    "softshrink": lambda y: functional.softshrink(y, _BOUND),
    "hardshrink": lambda y: functional.hardshrink(y, _BOUND),
    "clamp from 0": lambda y: y.clamp(min=0),
    "clamp on both sides": lambda y: y.clamp(0.0, _BOUND),
    "clamp by integers": lambda y: (y / _BOUND).clamp(0, 1),
    "clamp_min": lambda y: y.clamp_min(0),
    "clamp_max": lambda y: y.clamp_max(_BOUND),
    # Multiples, since equal nodes become one, and one rule is theirs.
    "clamp between numbers in tensors": lambda y: torch.clamp(
        2 * y, torch.zeros(()), torch.full((), 2 * _BOUND)
    ),
    "clamp between tensors": lambda y: torch.clamp(y, torch.zeros(6), torch.full((6,), _BOUND)),
    "clamp from a number in a tensor": lambda y: torch.clamp(3 * y, min=torch.zeros(())),
    "clamp from a tensor": lambda y: torch.clamp(y, min=torch.zeros(6)),
    "clamp to a tensor": lambda y: torch.clamp(y, max=torch.full((6,), _BOUND)),
    "clamp between values": lambda y: torch.clamp(y, y.flip(1) - 0.1, y.flip(1)),
    "max of an axis": lambda y: y.max(2)[0],
    "min of an axis": lambda y: y.min(2)[0],
    "amax": lambda y: y.amax(2),
    "amin": lambda y: y.amin((1, 2)),
    "maximum": lambda y: torch.maximum(y, y.flip(2)),
    "minimum": lambda y: torch.minimum(y, y.flip(1)),
    "maximum of a number": lambda y: torch.maximum(y, torch.full((), _BOUND)),
    "max_pool": lambda y: functional.max_pool1d(y, 3, 2),
    "adaptive_max_pool": lambda y: functional.adaptive_max_pool1d(y, 1),
    "adaptive_max_pool of maps": lambda y: functional.adaptive_max_pool2d(
        y.unflatten(2, (2, 3)), 1
    ),
    "where": lambda y: torch.where(y > 0, y, 2 * y),
    "sign": lambda y: y * y.sign(),
    "erfc": torch.erfc,
}
ROOTS: dict[str, _Function] = {
    "sqrt": torch.sqrt,
    "var, sqrt": lambda y: y.var(2).sqrt(),
    "vector_norm 0.5": lambda y: torch.linalg.vector_norm(y, 0.5, 2),
}


class _Scores(nn.Module):
    """A score for each function of the layer."""

    def __init__(self, functions: Mapping[str, _Function]) -> None:
        super().__init__()
        self.layer = nn.Identity()
        self.functions = list(functions.values())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layer(x).flatten(2)
        scores = [function(y).reshape(len(y), -1).sum(1) for function in self.functions]
        return torch.stack(scores, 1)


def _inputs() -> torch.Tensor:
    """Zeros; equal values; random ones with a channel of zeros and a single zero."""
    x = torch.rand(3, 4, 6, generator=torch.Generator().manual_seed(0)) + 0.2
    x[0], x[1], x[2, 0], x[2, 1, 2] = 0, _BOUND, 0, 0
    return x


def _differing(functions: Mapping[str, _Function], folder: Path) -> dict[str, float]:
    """The functions whose gradient is not PyTorch's, where that is finite, and the errors."""
    x = _inputs()
    image = x.unflatten(2, (2, 3))
    export(_Scores(functions), folder / "a.onnx", (image,), layers="layer", verify="off")
    session = open_session(folder / "a.onnx")
    ids = np.arange(len(functions))[None]
    feeds = {session.get_inputs()[0].name: image.numpy(), "class_index": ids}
    found = results(session, feeds)["gradients"].reshape(3, -1, 4, 6)
    wrong: dict[str, float] = {}
    for place, (name, function) in enumerate(functions.items()):
        leaf = x.double().requires_grad_()
        (slope,) = torch.autograd.grad(function(leaf).sum(), leaf)
        error = (torch.from_numpy(found[:, place]) - slope).abs() / slope.abs().clamp(min=1)
        error = error[slope.isfinite()]
        error = error.nan_to_num(torch.inf).max().item() if len(error) else 0.0
        if error > 1e-4:
            wrong[name] = error
    return wrong


@pytest.mark.parametrize("functions", [NORMS, KINKS], ids=["norms", "kinks"])
def test_gradients_where_values_vanish_or_tie_are_pytorchs(
    functions: Mapping[str, _Function], tmp_path: Path
) -> None:
    assert _differing(functions, tmp_path) == {}


@pytest.mark.parametrize("name", ROOTS)
def test_an_infinite_gradient_leaves_the_finite_ones_alone(name: str, tmp_path: Path) -> None:
    # Twice the same: zero times infinity would reach another score, in PyTorch as well.
    assert _differing({name: ROOTS[name], "again": ROOTS[name]}, tmp_path) == {}


_ROOT = """<ir_version: 8, opset_import: ["" : 18]>
    root (float[N, 2, 3] image) => (float[N, 2] logits)
    {
        layer = Relu(image)
        squares = Mul(layer, layer)
        sums = ReduceSum <keepdims = 0> (squares, axes)
        logits = Sqrt(sums)
    }"""


@pytest.mark.parametrize(
    ("notes", "finite"),
    [
        pytest.param({}, False, id="a plain root"),
        pytest.param({"class_hierarchy": "['M', 'aten.sqrt.default']"}, False, id="sqrt"),
        pytest.param({"stack_trace": "line 7, in forward\n  return x.std(2)"}, True, id="std"),
        pytest.param(
            {"class_hierarchy": "['M', 'aten.linalg_vector_norm.default']"}, True, id="norm"
        ),
    ],
)
def test_a_file_of_pytorch_says_whether_a_root_was_a_norm(
    notes: dict[str, str], finite: bool, tmp_path: Path
) -> None:
    proto = parsed(_ROOT, {"axes": np.array([2])})
    for key, text in notes.items():
        proto.graph.node[3].metadata_props.add(key=f"pkg.torch.onnx.{key}", value=text)
    onnx.save(proto, tmp_path / "plain.onnx")
    export(tmp_path / "plain.onnx", tmp_path / "a.onnx", layers="layer", verify="off")
    feeds = {"image": np.zeros((1, 2, 3), np.float32), "class_index": np.array([[0]])}
    found = results(open_session(tmp_path / "a.onnx"), feeds)["gradients"]
    assert np.isfinite(found).all() == finite
