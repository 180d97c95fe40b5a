"""Finite differences, for models that have no PyTorch module behind them.

The part of the graph from a target layer to the score is cut out, brought to float64 and run by
the ONNX reference evaluator, which shares no code with graftcam or ONNX Runtime. The score's
central difference along a direction must equal that direction's inner product with the gradient
that the artifact gives. Where the head quantises, the differences are those of the lines that its
staircases follow, see `surrogate`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ..runtime.spec import Layer, Spec, Verification
from .cams.check import check_baked
from .errors import VerificationError
from .evaluator import Head, head_in_float64, wide
from .extents import OPEN_SIZES
from .probe import session_of
from .reading import reading
from .verify import (
    GROWTH,
    best_or_drawn,
    load_session,
    open_sizes,
    picture_index,
    relative_errors,
    required_feeds,
    run_regions,
    run_session,
    short,
)

Array = npt.NDArray[Any]
BOUND = 1e-3  # float64 differences are far better; a kink between the two points is not
# What the artifact's own arithmetic adds: units in the last place, times a few dozen operators.
_BOUNDS = {ir.DataType.FLOAT16: 1e-2, ir.DataType.BFLOAT16: 1e-1}
_QUANTISED = 5e-2  # a number near the middle between two codes may be rounded to either
_STEP = 1e-6
_FEEDS = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


def verify_file(
    artifact: Path, spec: Spec, model: ir.Model, source: Path, *, images: int = 2, seed: int = 0
) -> Verification:
    """Check outputs against the source file and gradients by finite differences, on random inputs.

    The directions are the gradient itself, along which the score must change by its length, and
    the gradient with random signs and random magnitudes, which show a wrong component.

    Args:
        artifact: The file.
        spec: Its metadata.
        model: The same graph.
        source: The file that it was made from.
        images: Number of random inputs, if the batch is open.
        seed: Their seed.

    Raises:
        VerificationError: A difference does not fit its gradient.
    """
    session = load_session(artifact)
    generator = np.random.default_rng(seed)
    runs = [
        (feeds, *run_regions(session, feeds, spec, seed))
        for feeds in inputs_of_sizes(session, spec, images, generator)
    ]
    picture = session.get_inputs()[picture_index(session, spec)].name if spec.of_input else ""
    del session  # the source is opened next; large weights should not lie in memory twice
    quantised = is_quantised(model.graph)
    bound = bound_of(model.graph)
    errors: dict[str, float] = {}
    for feeds, results, region in runs:
        check_baked(results, spec)
        own = {name: array for name, array in feeds.items() if name not in spec.own_inputs}
        found = _output_errors(source, own, results)
        if quantised:
            # In float arithmetic, as the reference: integer kernels round, and saturate, otherwise.
            results = run_session(load_session(artifact, integer_kernels=False), feeds)
        case = (model, spec, feeds, results, region, generator)
        for layer in spec.layers:
            start = value_of(model, layer.value, feeds, artifact.parent).astype(np.float64)
            laid = np.stack([channel_first(row, layer) for row in start])
            off = relative_errors(results[layer.activations], laid)
            found[layer.activations] = short(float(off.max(initial=0.0)))
            found[layer.gradients] = short(_gradient_error(layer, start, *case))
        if spec.input_gradients is not None:
            # Like a layer, but for the values: those are fed.
            layer = Layer(
                picture, picture, "channels_first", [], 0, "", picture, spec.input_gradients
            )
            start = feeds[picture].astype(np.float64)
            found[layer.gradients] = short(_gradient_error(layer, start, *case))
        errors = {name: max(error, errors.get(name, 0.0)) for name, error in found.items()}
    wrong = {name: error for name, error in errors.items() if not error <= bound}
    if wrong:
        raise VerificationError(
            "the artifact disagrees with its source or finite differences, nothing was written: "
            + "; ".join(
                f"{name}: error {error:.1e} (bound {bound:.0e})" for name, error in wrong.items()
            )
        )
    bounds = dict.fromkeys(errors, bound)
    method = "finite-differences-straight-through" if quantised else "finite-differences"
    count = sum(len(results[spec.scores]) for _, results, _ in runs)
    return Verification("pass", method, count, seed, errors, bounds)


def inputs_of_sizes(
    session: Any, spec: Spec, images: int, generator: np.random.Generator
) -> list[dict[str, Array]]:
    """Random inputs; of two sizes that the artifact runs on, where it leaves the size open.

    Raises:
        VerificationError: It runs on none of those tried.
    """
    if not open_sizes(session, spec):
        return [random_feeds(session, spec, images, generator)]
    for side in OPEN_SIZES:
        tried = [
            random_feeds(session, spec, images, generator, side + more) for more in (0, GROWTH)
        ]
        with contextlib.suppress(VerificationError):
            for feeds in tried:
                run_session(session, feeds)
            return tried
    raise VerificationError(
        f"the artifact runs on no picture of {', '.join(map(str, OPEN_SIZES))} pixels; fix the "
        "size in the file, or export with verify=False and check it on your own data"
    )


def value_of(model: ir.Model, name: str, feeds: Mapping[str, Array], folder: Path) -> Array:
    """What the model's own part of the graph gives for a value, by ONNX Runtime."""
    inputs = [value for value in model.graph.inputs if value.name in feeds]
    graph = ir.convenience.extract(model.graph, inputs, [name])
    session = session_of(ir.Model(graph, ir_version=model.ir_version), folder)
    (found,) = session.run(None, {value.name: feeds[value.name or ""] for value in graph.inputs})
    return found


def channel_first(value: Array, layer: Layer) -> Array:
    """One image's part of a layer's value, as [C, *space]."""
    if layer.layout == "channels_last":
        return np.moveaxis(value, -1, 0)
    if layer.layout == "tokens":
        grid = [-1 if side is None else side for side in layer.grid]
        return value[layer.prefix_tokens :].T.reshape(-1, *grid)
    return value


def as_laid_out(tensor: Array, layer: Layer) -> Array:
    """The opposite of `channel_first`, with zeros for the tokens before the grid."""
    if layer.layout == "channels_last":
        return np.moveaxis(tensor, 0, -1)
    if layer.layout == "tokens":
        return np.pad(tensor.reshape(len(tensor), -1).T, ((layer.prefix_tokens, 0), (0, 0)))
    return tensor


def is_quantised(graph: ir.Graph) -> bool:
    """Whether something is rounded to codes on the way."""
    return any(node.op_type == "QuantizeLinear" for node in graph)


def bound_of(graph: ir.Graph) -> float:
    """The error that the graph's narrowest float type, or its quantisers, explain."""
    if is_quantised(graph):
        return _QUANTISED
    kinds = {value.dtype for node in graph for value in node.outputs}
    return max(_BOUNDS.get(kind, BOUND) for kind in {ir.DataType.FLOAT, *kinds} if kind)


def _output_errors(
    source: Path, feeds: dict[str, Array], results: dict[str, Array]
) -> dict[str, float]:
    """Relative error of each of the model's own outputs against the source file's."""
    plain = run_session(load_session(source), feeds)
    return {
        name: short(float(relative_errors(results[name], expected).max(initial=0.0)))
        for name, expected in plain.items()
        if expected.dtype.kind == "f" and expected.ndim
    }


def _gradient_error(
    layer: Layer,
    start: Array,
    model: ir.Model,
    spec: Spec,
    feeds: dict[str, Array],
    results: dict[str, Array],
    region: Array | None,
    generator: np.random.Generator,
) -> float:
    """Largest disagreement of a layer's gradients, over images, classes and directions.

    Args:
        layer: The layer.
        start: Its value, [N, ...].
        model: The model.
        spec: The artifact's metadata.
        feeds: What the artifact was fed.
        results: What it gave.
        region: What the scores were summed over, if they have positions.
        generator: Draws the directions.
    """
    head, extra = head_in_float64(model, layer.value, spec.score.value)
    extras = {name: wide(feeds[name]) for name in extra}
    gradients = results[layer.gradients].astype(np.float64)
    head({**extras, layer.value: start})  # here, and only here, quantisers round
    worst = 0.0
    for row, k in np.ndindex(results[spec.scores].shape):
        read = _reading(feeds, spec, results, region, row, k)
        score = _score_of(head, extras, layer.value, row, read)
        worst = max(worst, _row_error(score, start, gradients[row, k], row, layer, generator))
    return worst


def _score_of(
    head: Head, extra: dict[str, Array], target: str, row: int, read: Callable[[Array], float]
) -> Callable[[Array], float]:
    """One image's score as a function of the target layer's value; ``read`` takes a table's row."""
    return lambda value: read(head({**extra, target: value})[row])


def _reading(
    feeds: Mapping[str, Array], spec: Spec, results: Mapping[str, Array], region: Array | None,
    row: int, k: int,
) -> Callable[[Array], float]:  # fmt: skip
    """How the score is read off one image's table [classes, *positions]."""
    if spec.classes is None:
        weights = feeds[spec.selector]
        weights = weights[row % len(weights), k].astype(np.float64)
        return lambda table: float((table * weights).sum())
    return reading(
        spec.score, int(results[spec.classes][row, k]), None if region is None else region[row, k]
    )


def _row_error(
    score: Callable[[Array], float],
    start: Array,
    gradient: Array,
    row: int,
    layer: Layer,
    generator: np.random.Generator,
) -> float:
    """Largest disagreement over the directions, relative to the gradient's length.

    The zeros that a ReLU leaves tie in a max pool, where the score has a slope to either side but
    no derivative. A direction that meets such a kink is tried again without moving the zeros.
    """
    length = float(np.linalg.norm(gradient))
    signs = generator.choice([-1.0, 1.0], gradient.shape)
    noise = generator.standard_normal(gradient.shape)
    moving = channel_first(start[row], layer) != 0
    step = _STEP * max(1.0, float(np.linalg.norm(start[row])))

    def slopes(direction: Array) -> tuple[float, float]:
        ends: list[float] = []
        for sign in (1.0, -1.0):
            moved = start.copy()
            moved[row] += sign * step * as_laid_out(direction, layer)
            ends.append(score(moved))
        return (ends[0] - here) / step, (here - ends[1]) / step

    here, worst = score(start), 0.0
    for direction in [gradient, gradient * signs, noise] if length else [noise]:
        unit = _unit(direction)
        right, left = slopes(unit)
        if abs(right - left) > BOUND * length:
            unit = _unit(direction * moving)
            right, left = slopes(unit)
        worst = max(worst, abs((right + left) / 2 - float((gradient * unit).sum())))
    return worst / max(length, 1e-6)


def _unit(direction: Array) -> Array:
    return direction / max(float(np.linalg.norm(direction)), 1e-300)


def random_feeds(
    session: Any, spec: Spec, images: int, generator: np.random.Generator, side: int | None = None
) -> dict[str, Array]:
    """Random arrays for the inputs that must be fed.

    Args:
        session: The artifact.
        spec: Its metadata.
        images: Extent of an open batch.
        generator: Draws them.
        side: Extent of the first open axis after the batch; each further one is longer by 32.

    Raises:
        VerificationError: An input cannot be made up.
    """
    feeds = required_feeds(session, spec)
    own = {spec.score_weights, *feeds}
    for argument in session.get_inputs():
        if argument.name in own:
            continue
        shape = list(argument.shape)
        free = [axis for axis, extent in enumerate(shape) if not isinstance(extent, int)]
        for place, axis in enumerate(axis for axis in free if axis and side is not None):
            shape[axis] = (side or 0) + GROWTH * place
        if 0 in free:
            shape[0] = images
        kind = _FEEDS.get(argument.type)
        if kind is None or not all(isinstance(e, int) for e in shape):
            raise VerificationError(
                f"cannot make up input {argument.name!r} ({argument.type} {argument.shape}); "
                "export with verify=False and check the artifact on your own data"
            )
        feeds[argument.name] = generator.standard_normal(shape).astype(kind)
    if spec.score_weights is not None:
        feeds |= best_or_drawn(session, feeds, spec, images, count=1)
    return feeds
