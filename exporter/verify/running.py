"""This module runs artifacts in ONNX Runtime, at any level, on the inputs that they need."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ...runtime.session.session import defaults_of
from ...runtime.spec import Spec
from ..errors import VerificationError, first_line

Array = npt.NDArray[Any]
Tensors: TypeAlias = dict[str, Array]
Level: TypeAlias = Literal["all", "extended", "basic", "disable"]
LEVELS: tuple[Level, ...] = ("all", "extended", "basic", "disable")
"""ONNX Runtime's levels of graph optimisation; ``all`` is its default."""


def load_session(artifact: Path, *, level: Level = "all", integer_kernels: bool = True) -> Any:
    """Open a session on the CPU; without ``integer_kernels`` quantised models compute in floats."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(
        onnxruntime.GraphOptimizationLevel, f"ORT_{_LEVEL_NAMES[level]}"
    )
    if not integer_kernels:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(artifact, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise VerificationError(
            f"ONNX Runtime cannot load {artifact.name}: {first_line(error)}"
        ) from error


_LEVEL_NAMES: dict[Level, str] = {
    "all": "ENABLE_ALL",
    "extended": "ENABLE_EXTENDED",
    "basic": "ENABLE_BASIC",
    "disable": "DISABLE_ALL",
}


def run_session(session: Any, feeds: Mapping[str, Array]) -> Tensors:
    """All outputs by name."""
    names = [output.name for output in session.get_outputs()]
    try:
        return dict(zip(names, session.run(names, dict(feeds)), strict=True))
    except Exception as error:
        raise VerificationError(
            f"ONNX Runtime cannot run the artifact: {first_line(error)}"
        ) from error


def class_wise(spec: Spec) -> set[str]:
    """Names of the outputs whose second axis is that of the explained classes.

    Baked methods are left out: some contrast classes, so a map depends on the other classes too.
    """
    maps = {name for layer in spec.layers for name in (layer.heatmap, layer.gradients)}
    classes = set[str]() if spec.classes is None else {spec.classes}
    return {*classes, spec.scores, *maps, *spec.of_input.values()}


def draw_region(results: Mapping[str, Array], spec: Spec, seed: int) -> Array | None:
    """Random weights for the scored output's positions, float32 [N, K, *positions]."""
    if spec.region is None:
        return None
    positions = spec.score.positions(results[spec.score.output].shape)
    shape = (*results[spec.scores].shape, *positions)
    return np.random.default_rng(seed).random(shape, np.float32)


def run_regions(
    session: Any, feeds: Mapping[str, Array], spec: Spec, region: Array | None
) -> Tensors:
    """All outputs by name; with ``region``, K doubled: for all positions, then for the region."""
    plain = run_session(session, {**required_feeds(session, spec), **feeds})
    if spec.region is None or region is None:
        return plain
    inside = run_session(session, {**required_feeds(session, spec), **feeds, spec.region: region})
    joined = {
        name: np.concatenate([plain[name], inside[name]], axis=1) for name in class_wise(spec)
    }
    return {**plain, **joined}


def best_or_drawn(
    session: Any, feeds: Mapping[str, Array], spec: Spec, seed: int, count: int = 2
) -> Tensors:
    """The best ``count`` classes for `class_index`, or as many random `score_weights`."""
    if spec.score_weights is None:
        ranks = -1 - np.arange(min(count, spec.score.classes), dtype=np.int64)
        return {spec.selector: ranks[None, :]}
    port = next(one for one in session.get_inputs() if one.name == spec.score_weights)
    extents = [extent if isinstance(extent, int) else 1 for extent in port.shape[2:]]
    none = {**feeds, spec.score_weights: np.zeros((1, 0, *extents), np.float32)}
    # Extents that the file leaves open are known from a run only.
    shape = run_session(session, none)[spec.score.output].shape
    drawn = np.random.default_rng(seed).standard_normal((shape[0], count, *shape[1:]), np.float32)
    return {spec.score_weights: drawn}


def same_scores(session: Any, feeds: Mapping[str, Array], spec: Spec, count: int) -> Tensors:
    """The first ``count`` classes by id, or random `score_weights`, the same for every image."""
    if spec.score_weights is not None:
        drawn = best_or_drawn(session, feeds, spec, 0, count)[spec.selector]
        return {spec.selector: drawn[:1]}
    return {spec.selector: np.arange(min(count, spec.score.classes), dtype=np.int64)[None, :]}


def required_feeds(session: Any, spec: Spec) -> Tensors:
    """The defaults of the added inputs, for those that have none in the file."""
    return defaults_of(spec, {one.name: len(one.shape) for one in session.get_inputs()})


def model_inputs(session: Any, spec: Spec) -> list[Any]:
    """The model's own inputs, as ONNX Runtime describes them."""
    return [one for one in session.get_inputs() if one.name not in spec.own_inputs]


def image_index(session: Any, spec: Spec) -> int:
    """Place of the image's input among those of an artifact that gives its gradient."""
    inputs = list(session.get_inputs())
    if spec.preprocess is not None:
        return [one.name for one in inputs].index(spec.preprocess.input)
    return next(i for i, one in enumerate(inputs) if "float" in one.type or "double" in one.type)


def open_sizes(session: Any, spec: Spec) -> bool:
    """Whether the model's inputs that must be fed have open axes beside the batch."""
    inputs = model_inputs(session, spec)
    return any(not isinstance(extent, int) for one in inputs for extent in one.shape[1:])


def fixed_batch(session: Any, spec: Spec) -> int | None:
    """The number of images of every run, where the artifact fixes it."""
    extents = [one.shape[0] for one in model_inputs(session, spec) if one.shape]
    return None if any(not isinstance(extent, int) for extent in extents) else extents[0]


def some_rows(feeds: Tensors, rows: slice) -> Tensors:
    """Part of the images; inputs that have no axis of images stay whole."""
    images = max(len(value) for value in feeds.values() if value.ndim)
    return {
        name: value[rows] if value.ndim and len(value) == images else value
        for name, value in feeds.items()
    }
