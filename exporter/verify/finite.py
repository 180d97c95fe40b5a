"""This module checks gradients by finite differences, for models without a PyTorch module.

The part of the graph from a target layer to the score is cut out, brought to float64 and run by the
ONNX reference evaluator, which shares no code with graftcam or ONNX Runtime. The score's central
difference along a direction must equal that direction's inner product with the gradient that the
artifact gives. Where the head quantises, the differences are those of the lines that its staircases
follow, see `straight_through`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx_ir as ir

from ...runtime.methods.table import METHODS
from ...runtime.spec import Layer, Spec
from ..capture.trial_sizes import GROWTH
from ..errors import VerificationError
from ..graph.infer_shapes import OPEN_SIZES
from ..graph.ort_session import session_of
from .compare import relative_errors, three_digits
from .embedded import Embedded
from .findings import Finding, Verdict
from .float64_head import Head, head_in_float64, wide
from .inputs import Draw, random_feeds
from .matrix import FirstRun, Matrix, Truth, first_run, runs
from .running import (
    Array,
    Tensors,
    fixed_batch,
    image_index,
    load_session,
    open_sizes,
    run_regions,
    run_session,
)
from .score_function import reading
from .tensors import Tally

# Each class of each image costs a dozen evaluations of the head by the reference evaluator.
QUICK_FILE = Matrix(("all",), (2,), (1,))
BOUND = 1e-3  # float64 differences are far better; a kink between the two points is not
# What the artifact's own arithmetic adds: units in the last place, times a few dozen operators.
_BOUNDS = {ir.DataType.FLOAT16: 1e-2, ir.DataType.BFLOAT16: 1e-1}
_QUANTISED = 5e-2  # a number near the middle between two codes may be rounded to either
TABLED = ("logit", "output")  # kinds of scores that are entries of the score table
_STEP = 1e-6
# Of the gradient's length. Slopes to the right and to the left that differ by less meet no kink;
# much smaller than the bound, since the jumps of several kinks may cancel in this difference.
_KINK = 1e-5
_DIFFERENCED = 2  # images; the others of a chunk are compared with the first run only


def verify_file(
    artifact: Path,
    spec: Spec,
    model: ir.Model,
    source: Path,
    outputs: Sequence[str],
    *,
    matrix: Matrix = QUICK_FILE,
    draw: Draw | None = None,
    images: int = 2,
    seed: int = 0,
    inside: Embedded | None = None,
) -> Verdict:
    """Compare outputs with the source file and gradients with finite differences.

    The directions are the gradient itself, along which the score must change by its length, and the
    gradient with random signs and random magnitudes, which show a wrong component. The differences
    confirm the first run, and all other runs must give the same.

    Args:
        artifact: The file.
        spec: Its metadata.
        model: The graph that values and differences are taken from: the source's, or the
            artifact's own.
        source: The file that it was made from, or the model's own part of the artifact.
        outputs: Names of the model's own outputs.
        matrix: Which runs are made.
        draw: Makes the inputs; random ones by default.
        images: Number of inputs, if the batch is open.
        seed: Of the random inputs.
        inside: The training transform, where it is part of the artifact; ``model`` and ``source``
            take what it gives.

    Raises:
        VerificationError: ONNX Runtime cannot load or run a file, or inputs cannot be made up.
    """
    kind: Literal["random", "given"] = "random" if draw is None else "given"
    generator = np.random.default_rng(seed)
    session = load_session(artifact)
    if draw is None and inside is not None:
        random = inside.random(random_file(session, spec))
        inputs = [random(images, grown, seed) for grown in (0, GROWTH)]
    elif draw is None:
        inputs = inputs_of_sizes(session, spec, images, generator)
    else:
        step = fixed_batch(session, spec) or (images if inside is None else 1)
        inputs = [draw(step, 0, start) for start in range(0, images, step)]
    added = set(spec.own_inputs)
    firsts = [
        first_run(session, spec, {n: a for n, a in feeds.items() if n not in added}, matrix, seed)
        for feeds in inputs
    ]
    # Only float outputs with an axis of images are compared: no ids, no counts.
    outputs = [n for n in outputs if (a := firsts[0].results[n]).dtype.kind == "f" and a.ndim]
    image = session.get_inputs()[image_index(session, spec)].name if spec.of_input else ""
    if inside is not None:
        image = inside.name
        firsts = [replace(first, source=inside.source_feeds(first.feeds)) for first in firsts]
    del session  # the source is opened next; large weights should not be in memory twice
    quantised, bound = is_quantised(model.graph), bound_of(model.graph)
    findings: list[Finding] = []
    if quantised:
        findings = _integer_outputs(source, outputs, firsts, bound, kind)
        # In float arithmetic, as the reference: integer kernels round, and saturate, otherwise.
        opened = load_session(artifact, integer_kernels=False)
        firsts = [_again(opened, spec, first) for first in firsts]
    plain = load_session(source, integer_kernels=not quantised)
    folder = artifact.parent
    truths = [_truth(model, plain, folder, spec, outputs, first, bound) for first in firsts]
    del plain
    for layer in _differentiated(spec, image):
        worst = max(
            _worst_difference(model, truth.first, folder, spec, layer, generator)
            for truth in truths
        )
        findings.append(_finding("gradients", layer.gradients, worst, bound, kind))
    for level in matrix.levels:
        opened = load_session(artifact, level=level, integer_kernels=not quantised)
        tally = Tally(spec, outputs, level, kind)
        for truth in truths:
            for run in runs(opened, spec, truth, matrix):
                tally.add(run)
        findings += tally.findings()
    method = "finite-differences-straight-through" if quantised else "finite-differences"
    count = sum(len(first.selected) for first in firsts)
    random, given = (count, 0) if kind == "random" else (0, count)
    return Verdict(findings, method, random, given, seed)


def _differentiated(spec: Spec, image: str) -> list[Layer]:
    """The values whose gradients differences can confirm: the layers, and perhaps the image.

    The image is like a layer, but its value is fed.
    """
    if spec.input_gradients is None:
        return spec.layers
    fed = Layer(image, image, "channels_first", [], 0, "", image, spec.input_gradients)
    return [*spec.layers, fed]


def _finding(
    check: str, subject: str, error: float, bound: float, inputs: Literal["random", "given"]
) -> Finding:
    reason = "" if error <= bound else f"error {error:.1e} (bound {bound:.0e})"
    status = "fail" if reason else "pass"
    return Finding(check, subject, status, three_digits(error), bound, reason, "all", inputs)


def _integer_outputs(
    source: Path,
    outputs: Sequence[str],
    firsts: Sequence[FirstRun],
    bound: float,
    inputs: Literal["random", "given"],
) -> list[Finding]:
    """Compare the outputs of artifact and source with integer kernels, for a quantised model."""
    session, errors = load_session(source), dict.fromkeys(outputs, 0.0)
    for first in firsts:
        plain = run_session(session, first.source_feeds)
        for name in outputs:
            off = relative_errors(first.results[name], plain[name])
            errors[name] = max(errors[name], float(off.max(initial=0.0)))
    return [_finding("outputs", name, error, bound, inputs) for name, error in errors.items()]


def _again(session: Any, spec: Spec, first: FirstRun) -> FirstRun:
    """The first run once more, in another session and with classes by id."""
    feeds = {**first.feeds, spec.selector: first.selected}
    return replace(first, results=run_regions(session, feeds, spec, first.region))


def _truth(
    model: ir.Model,
    plain: Any,
    folder: Path,
    spec: Spec,
    outputs: Sequence[str],
    first: FirstRun,
    bound: float,
) -> Truth:
    """What the source gives; gradients, which it does not have, are those of the first run.

    So are scores that are no entries of a table.
    """
    feeds, results = first.source_feeds, first.results
    given = run_session(plain, feeds)
    expected = {name: given[name] for name in outputs}
    selected, region = first.doubled
    expected[spec.scores] = results[spec.scores]
    if spec.score.kind in TABLED:
        table = score_table(model, spec, feeds, folder)
        expected[spec.scores] = scores_of(table, selected, region)
    for layer in spec.layers:
        value = value_of(model, layer.value, feeds, folder)
        laid = np.stack([channel_first(row, layer) for row in value])
        expected[layer.activations] = laid
        expected[layer.gradients] = results[layer.gradients]
        expected[layer.heatmap] = METHODS["gradcam"](laid, results[layer.gradients])
    expected |= {name: results[name] for name in spec.of_input.values()}
    return Truth(first, expected, bound)


def score_table(model: ir.Model, spec: Spec, feeds: Mapping[str, Array], folder: Path) -> Array:
    """The scores of all classes before they are summed, [N, classes, *positions]."""
    table = value_of(model, spec.score.value, feeds, folder).astype(np.float64)
    return np.concatenate([-table, table], axis=1) if spec.score.single_logit else table


def scores_of(table: Array, classes: Array, region: Array | None) -> Array:
    """Scores of ``classes`` [N, K]; sums over the positions, if there are any."""
    rows = np.arange(len(table))[:, None]
    picked = table[rows, classes]
    if region is not None:
        picked = picked * region
    return picked.reshape(*classes.shape, -1).sum(2)


def _worst_difference(
    model: ir.Model,
    first: FirstRun,
    folder: Path,
    spec: Spec,
    layer: Layer,
    generator: np.random.Generator,
) -> float:
    """The largest disagreement of a layer's gradients with differences of the scores."""
    head, extra = head_in_float64(model, layer.value, spec.score.value)
    feeds = first.source_feeds
    extras = {name: wide(feeds[name]) for name in extra}
    fed = feeds.get(layer.value)
    start = value_of(model, layer.value, feeds, folder) if fed is None else fed
    start = start.astype(np.float64)
    gradients = first.results[layer.gradients].astype(np.float64)
    head({**extras, layer.value: start})  # here, and only here, quantisers round
    selected, region = first.doubled
    images, count = selected.shape[:2]
    worst = 0.0
    for row, k in np.ndindex(min(images, _DIFFERENCED), count):
        read = _reading(spec, selected[row, k], None if region is None else region[row, k])
        score = _score_of(head, extras, layer.value, row, read)
        error = _row_error(score, start, gradients[row, k], row, layer, generator)
        worst = max(worst, error if np.isfinite(error) else np.inf)
    return worst


def inputs_of_sizes(
    session: Any, spec: Spec, images: int, generator: np.random.Generator
) -> list[Tensors]:
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
        f"the artifact runs on no image of {', '.join(map(str, OPEN_SIZES))} pixels; fix the "
        "size in the file, or export with verify='off' and check it on your own data"
    )


def random_file(session: Any, spec: Spec) -> Draw:
    """Random inputs of the smallest size that the artifact runs on."""

    def draw(count: int, grown: int, seed: int) -> Tensors:
        del grown
        feeds = inputs_of_sizes(session, spec, count, np.random.default_rng(seed))[0]
        return {name: value for name, value in feeds.items() if name not in spec.own_inputs}

    return draw


def value_of(model: ir.Model, name: str, feeds: Mapping[str, Array], folder: Path) -> Array:
    """Run the model's own part of the graph up to a value, by ONNX Runtime."""
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
    """Whether the graph rounds something to codes."""
    return any(node.op_type == "QuantizeLinear" for node in graph)


def bound_of(graph: ir.Graph) -> float:
    """The error that the graph's narrowest float type, or its quantisers, explain."""
    if is_quantised(graph):
        return _QUANTISED
    kinds = {value.dtype for node in graph for value in node.outputs}
    return max(_BOUNDS.get(kind, BOUND) for kind in {ir.DataType.FLOAT, *kinds} if kind)


def _score_of(
    head: Head, extra: dict[str, Array], target: str, row: int, read: Callable[[Array], float]
) -> Callable[[Array], float]:
    """One image's score as a function of the target layer's value; ``read`` takes a table's row."""
    return lambda value: read(head({**extra, target: value})[row])


def _reading(spec: Spec, selected: Array, region: Array | None) -> Callable[[Array], float]:
    """How the score is read off one image's table [classes, *positions]."""
    if spec.classes is None:
        weights = selected.astype(np.float64)
        return lambda table: float((table * weights).sum())
    return reading(spec.score, int(selected), region)


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
        if abs(right - left) > _KINK * length:
            unit = _unit(direction * moving)
            right, left = slopes(unit)
        worst = max(worst, abs((right + left) / 2 - float((gradient * unit).sum())))
    return worst / max(length, 1e-6)


def _unit(direction: Array) -> Array:
    return direction / max(float(np.linalg.norm(direction)), 1e-300)
