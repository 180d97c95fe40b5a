"""Judge the gradient of a module's artifact by autograd in float64 and by differences.

Where the artifact and autograd part, the slope of the module in the direction of what they differ
by decides. At a kink there is none: then PyTorch's convention counts, unless its choice is one of
rounding (`torch_rounding`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from support.sessions import open_session

from .differences import Array
from .layouts import in_own_layout
from .torch_rounding import may_be
from .torch_run import gradients, in_double, scores_with
from .trial import Judgement, UnclearError

_CLOSE = 1e-3  # of a gradient in float32, or 4 times PyTorch's own error in float32
_SCORES = 1e-4  # relative to the largest score, beside 4 times PyTorch's own error
_STEP = 1e-5


def judge(model: nn.Module, x: torch.Tensor, path: Path, spec: Any) -> Judgement:
    """Compare on random images, and on images of equal numbers, halves and few levels."""
    generator = torch.Generator().manual_seed(1)
    drawn = [torch.randn(x.shape, generator=generator) for _ in range(2)]
    halves = torch.zeros_like(x)
    halves[..., x.shape[-1] // 2 :] = 1.0
    places = {
        "random": drawn[0], "few levels": (2 * drawn[1]).round() / 2, "halves": halves,
        "zeros": torch.zeros_like(x), "constant": torch.full_like(x, 0.5),
    }  # fmt: skip
    session, remarks = open_session(path), list[str]()
    for name, image in places.items():
        judged = _at(model, image, session, spec, name)
        if judged.verdict == "wrong":
            return judged
        remarks += [judged.detail] * bool(judged.detail)
    return Judgement("right", "; ".join(remarks))


def _at(model: nn.Module, x: torch.Tensor, session: Any, spec: Any, name: str) -> Judgement:
    double = in_double(model)
    scores, value, expected = gradients(double, x.double())
    own_scores, _, own = (one.double() for one in gradients(model, x))
    exact = (scores, expected, own)
    if not all(bool(one.isfinite().all()) for one in exact):
        return Judgement("right", f"PyTorch has no gradient at {name}")
    y, got = _explained(session, spec, x, tuple(value.shape[1:]), scores.shape[1])
    apart = np.abs(y - scores.numpy()).max()
    rounded = 4 * float((own_scores - scores).abs().max())
    if not apart <= rounded + _SCORES * max(1.0, float(scores.abs().max())):
        return Judgement("wrong", f"other scores at {name}: by {apart:.1e}")
    if not np.isfinite(got).all():
        return Judgement("wrong", f"the gradient is not finite at {name}, PyTorch's is")
    found = torch.from_numpy(got.astype(np.float64))
    off, allowed = _errors(found, expected), _CLOSE + 4 * _errors(own, expected)
    if bool((off <= allowed).all()) or bool((_errors(found, own) <= _CLOSE).all()):
        return Judgement("right")
    image, row = divmod(int((off - allowed).argmax()), off.shape[1])
    one = found[image, row], expected[image, row]
    return _decided(double, x.double(), value, one, (image, row), name)


def _explained(
    session: Any, spec: Any, x: torch.Tensor, shape: tuple[int, ...], classes: int
) -> tuple[Array, Array]:
    """The artifact's scores and gradients."""
    feeds = {session.get_inputs()[0].name: x.numpy(), "class_index": np.arange(classes)[None]}
    layer, output = spec.layers[0], session.get_outputs()[0].name
    if layer.layout == "instances":
        raise UnclearError("the layer has its instances on the batch axis")
    y, found = session.run([output, layer.gradients], feeds)
    return y, in_own_layout(found, layer, shape)


def _errors(got: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Relative errors [N, K]; rows of nearly nothing are measured by the largest one."""
    sizes = torch.linalg.vector_norm(truth.flatten(2), dim=2)
    least = max(1e-2 * float(sizes.max()), 1e-3)  # float32 rounds numbers near 1 by 1e-7
    return torch.linalg.vector_norm((got - truth).flatten(2), dim=2) / sizes.clamp(min=least)


def _decided(
    model: nn.Module,
    x: torch.Tensor,
    value: torch.Tensor,
    one: tuple[torch.Tensor, torch.Tensor],
    row: tuple[int, int],
    name: str,
) -> Judgement:
    """Which of two gradients of a score is its slope, in the direction in which they differ."""
    found, expected = one
    apart = float((found - expected).norm())
    towards = torch.zeros_like(value)
    towards[row[0]] = (found - expected) / apart
    here = scores_with(model, x, value)[row]
    sides = [
        float((scores_with(model, x, value + sign * step * towards)[row] - here) / (sign * step))
        for step in (_STEP, _STEP / 2)
        for sign in (1, -1)
    ]
    figures = f"off by {apart:.2g} at {name} image {row[0]} class {row[1]}"
    if max(sides) - min(sides) > 0.1 * apart:
        if may_be(model, x, row, found, _CLOSE * float(expected.norm())):
            return Judgement("right", f"operands of a maximum are equal up to rounding at {name}")
        return Judgement("wrong", f"{figures}, at a kink: PyTorch chooses another side")
    slope = sum(sides) / len(sides)
    along = [float((g * towards[row[0]]).sum()) for g in (found, expected)]
    if abs(along[0] - slope) < 0.2 * apart:
        return Judgement("right", f"autograd is wrong at {name}")
    theirs = abs(along[1] - slope) < 0.2 * apart
    if not theirs and may_be(model, x, row, found, _CLOSE * float(expected.norm())):
        return Judgement("right", f"equal numbers in another order at {name}")
    return Judgement(
        "wrong", f"{figures}: {along[0]:.4g}, PyTorch {along[1]:.4g}, slope {slope:.4g}"
    )
