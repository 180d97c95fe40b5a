"""Judge the gradient of an ONNX file's artifact by differences of the file in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from support.sessions import open_session

from .differences import DOUBLE, SINGLE, Array, Slopes, slopes
from .layouts import in_own_layout
from .trial import Judgement

_CLOSE = 1e-4  # two forwards in float32, relative to the largest score
_ENOUGH = 0.1  # the share of places with a derivative that tells something


@dataclass(frozen=True)
class Files:
    """Both files in ONNX Runtime.

    Attributes:
        source: The file.
        double: The same in float64, if the runtime has all kernels for it.
        artifact: The artifact.
        spec: Its metadata.
    """

    source: Any
    double: Any
    artifact: Any
    spec: Any

    @classmethod
    def opened(
        cls, model: onnx.ModelProto, double: onnx.ModelProto, path: Path, spec: Any, x: Array
    ) -> Files:
        """Open them; whether all kernels take float64 shows as they run."""
        try:
            precise = open_session(double.SerializeToString())
            _run(precise, x)
        except Exception:  # whatever it is, float32 will do
            precise = None
        return cls(open_session(model.SerializeToString()), precise, open_session(path), spec)

    def explained(self, x: Array) -> tuple[Array, Array]:
        """The artifact's scores [N, K] and gradients [N, K, *x] of all classes."""
        layer, classes = self.spec.layers[0], _run(self.source, x).shape[1]
        feeds = {"x": x.astype(np.float32), "class_index": np.arange(classes)[None]}
        y, gradients = self.artifact.run(["y", layer.gradients], feeds)
        return y, in_own_layout(gradients, layer, x.shape[1:])


def _run(session: Any, x: Array) -> Array:
    dtype = np.float32 if session.get_inputs()[0].type == "tensor(float)" else np.float64
    return session.run(["y"], {"x": x.astype(dtype)})[0].astype(np.float64)


def _many(session: Any, points: Array) -> Array:
    """Scores [M, N, K] of inputs [M, N, *x], in one run where the batch is open."""
    if isinstance(session.get_inputs()[0].shape[0], int):
        return np.stack([_run(session, one) for one in points])
    scores = _run(session, points.reshape(-1, *points.shape[2:]))
    return scores.reshape(*points.shape[:2], -1)


def judge(files: Files, random_ones: Iterator[Array], shape: tuple[int, ...]) -> Judgement:
    """Compare on random images, and look for what is not finite on images of equal numbers.

    A gradient is wrong if it is wrong on two of three random images: one alone may lie so close to
    a kink that float32 falls to the other side.
    """
    found = [_at(files, next(random_ones), "random") for _ in range(2)]
    if any(one.verdict != found[0].verdict for one in found):
        found.append(_at(files, next(random_ones), "random"))
    for verdict in ("wrong", "unclear"):
        such = [one for one in found if one.verdict == verdict]
        if len(such) > 1:
            return such[0]
    halves = np.zeros(shape)
    halves[..., shape[-1] // 2 :] = 1.0
    special = {"zeros": np.zeros(shape), "constant": np.full(shape, 0.5), "halves": halves}
    for name, x in special.items():
        judged = _at(files, x, name)
        if judged.verdict == "wrong":
            return judged
    return Judgement("right")


def _at(files: Files, x: Array, name: str) -> Judgement:
    scores = _run(files.source, x)
    if not np.isfinite(scores).all():
        return Judgement("unclear", f"scores are not finite at {name}")
    y, gradient = files.explained(x)
    size = max(1.0, np.abs(scores).max())
    if np.abs(y - scores).max() > _CLOSE * size:
        return Judgement("wrong", f"other scores at {name}: by {np.abs(y - scores).max():.1e}")
    double = files.double
    precise = double is not None and np.abs(_run(double, x) - scores).max() <= _CLOSE * size
    session, precision = (double, DOUBLE) if precise else (files.source, SINGLE)
    found = slopes(lambda points: _many(session, points), x.astype(np.float64), precision)
    defined = found.settled & np.isfinite(found.central)
    if (defined & ~np.isfinite(gradient)).any():
        return Judgement("wrong", f"the gradient is not finite at {name}, though slopes are")
    if name != "random":
        return Judgement("right")
    return _compare(gradient, found, _jitter(files, x, gradient), name)


def _jitter(files: Files, x: Array, gradient: Array) -> Array:
    """How much rounding the input once more changes the gradient, as it is amplified on the way."""
    signs = np.where(np.random.default_rng(0).random(x.shape) < 0.5, -1.0, 1.0)
    moved = x.astype(np.float32) * (1 + 3e-7 * signs)
    with np.errstate(invalid="ignore"):
        change = np.abs(files.explained(moved)[1] - gradient)
    rows = np.nan_to_num(change, nan=np.inf).max(axis=tuple(range(2, change.ndim)), keepdims=True)
    return 4 * rows


def _compare(gradient: Array, found: Slopes, jitter: Array, name: str) -> Judgement:
    smooth = found.smooth & np.isfinite(found.central)
    if smooth.mean() < _ENOUGH:
        return Judgement("unclear", f"{smooth.mean():.0%} of the places have a derivative")
    off = np.where(smooth, np.abs(gradient - found.central) - found.bound - jitter, -np.inf)
    if off.max() <= 0:
        return Judgement("right")
    place = np.unravel_index(off.argmax(), off.shape)
    got, expected = gradient[place], found.central[place]
    where = tuple(int(n) for n in place)
    return Judgement("wrong", f"{got:.4g} instead of {expected:.4g} at {name} image {where}")
