"""This module checks gradients by finite differences, for models without a PyTorch module.

The part of the graph from a target layer to the score is cut out, brought to float64 and run by the
ONNX reference evaluator, which shares no code with graftcam or ONNX Runtime. The score's central
difference along a direction must equal that direction's inner product with the gradient that the
artifact gives. Where the head quantises, the differences are those of the lines that its staircases
follow, see `straight_through`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.random import Generator

from ...runtime.methods.table import METHODS
from ...runtime.spec import Layer
from ..graph.infer_shapes import GROWTH
from ..graph.ort_session import session_of
from .artifact import Artifact
from .compare import relative_errors
from .findings import Finding, InputKind, Verdict, measured
from .float64_head import head_in_float64
from .inputs import inputs_of_sizes, random_inputs
from .matrix import FirstRun, Matrix, Truth, first_run
from .running import Array, Draw, Tensors, load_session, run_session
from .score_function import score_of
from .tensors import compare_runs

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
    artifact: Artifact,
    model: ir.Model,
    source: Path,
    *,
    matrix: Matrix = QUICK_FILE,
    draw: Draw | None = None,
    images: int = 2,
) -> Verdict:
    """Compare outputs with the source file and gradients with finite differences.

    The directions are the gradient itself, along which the score must change by its length, and the
    gradient with random signs and random magnitudes, which show a wrong component. The differences
    confirm the first run, and all other runs must give the same.

    Args:
        artifact: The artifact.
        model: The graph that values and differences are taken from: the source's, or the
            artifact's own; it takes what an embedded training transform gives.
        source: The file that it was made from, or the model's own part of the artifact; likewise.
        matrix: Which runs are made.
        draw: Makes the inputs; random ones by default.
        images: Number of inputs, if the batch is open.

    Raises:
        VerificationError: ONNX Runtime cannot load or run a file, or an input has an unknown type.
    """
    spec, inside, kind = artifact.spec, artifact.inside, "random" if draw is None else "given"
    generator = np.random.default_rng(0)
    if draw is not None:
        step = artifact.batch or (images if inside is None else 1)
        inputs = [draw(step, 0, start) for start in range(0, images, step)]
    elif inside is None:
        inputs = inputs_of_sizes(artifact, images, generator)
    else:
        random = random_inputs(artifact, ())
        inputs = [random(images, grown, 0) for grown in (0, GROWTH)]
    firsts = [first_run(artifact, feeds, matrix, 0) for feeds in inputs]
    # Only float outputs with an axis of images are compared: no ids, no counts.
    values = firsts[0].results
    outputs = [n for n in artifact.outputs if values[n].dtype.kind == "f" and values[n].ndim]
    layers = list(spec.layers)
    if spec.input_gradients is not None:  # the image is like a layer, but its value is fed
        image = artifact.inputs[artifact.image].name if inside is None else inside.name
        slopes = spec.input_gradients
        layers.append(Layer(image, image, "channels_first", [], 0, "", image, slopes))
    del artifact.session  # the source is opened next; large weights should not be in memory twice
    quantised, bound = is_quantised(model.graph), bound_of(model.graph)
    findings: list[Finding] = []
    if quantised:
        findings = _integer_outputs(source, outputs, firsts, bound, kind)
        # In float arithmetic, as the reference: integer kernels round, and saturate, otherwise.
        artifact = replace(artifact, integer_kernels=False)
        again = [{**one.feeds, spec.selector: one.selected} for one in firsts]
        firsts = [
            replace(first, results=artifact.run(feeds, first.region))
            for first, feeds in zip(firsts, again, strict=True)
        ]
    plain = load_session(source, integer_kernels=not quantised)
    truths = [
        Truth(first, _expected(artifact, model, plain, outputs, first), bound) for first in firsts
    ]
    del plain
    for layer in layers:
        worst = max(_worst_difference(artifact, model, one, layer, generator) for one in firsts)
        findings.append(_finding("gradients", layer.gradients, worst, bound, kind))
    for tally in compare_runs(artifact, truths, matrix, kind):
        findings += tally.findings()
    method = "finite-differences-straight-through" if quantised else "finite-differences"
    return Verdict(findings, method, sum(len(first.selected) for first in firsts))


def _finding(check: str, subject: str, error: float, bound: float, inputs: InputKind) -> Finding:
    reason = f"error {error:.1e} (bound {bound:.0e})"
    return measured(check, subject, error, bound, reason, level="all", inputs=inputs)


def _integer_outputs(
    source: Path, outputs: Sequence[str], firsts: Sequence[FirstRun], bound: float,
    inputs: InputKind,
) -> list[Finding]:  # fmt: skip
    """Compare the outputs of artifact and source with integer kernels, for a quantised model."""
    session, errors = load_session(source), dict.fromkeys(outputs, 0.0)
    for first in firsts:
        plain = run_session(session, first.source)
        for name in outputs:
            off = relative_errors(first.results[name], plain[name])
            errors[name] = max(errors[name], float(off.max(initial=0.0)))
    return [_finding("outputs", name, error, bound, inputs) for name, error in errors.items()]


def _expected(
    artifact: Artifact, model: ir.Model, plain: Any, outputs: Sequence[str], first: FirstRun
) -> Tensors:
    """What the source gives; gradients, which it does not have, are those of the first run.

    So are scores that are no entries of a table.
    """
    spec, feeds, results = artifact.spec, first.source, first.results
    given = run_session(plain, feeds)
    expected = {name: given[name] for name in outputs}
    expected |= {name: results[name] for name in (spec.scores, *spec.of_input.values())}
    if spec.score.kind in TABLED:
        expected[spec.scores] = scores_of(score_table(artifact, model, feeds), *first.doubled)
    for layer in spec.layers:
        value = value_of(artifact, model, layer.value, feeds)
        laid = np.stack([channel_first(row, layer) for row in value])
        expected[layer.activations] = laid
        expected[layer.gradients] = results[layer.gradients]
        expected[layer.heatmap] = METHODS["gradcam"](laid, results[layer.gradients])
    return expected


def score_table(artifact: Artifact, model: ir.Model, feeds: Mapping[str, Array]) -> Array:
    """The scores of all classes before they are summed, [N, classes, *positions]."""
    record = artifact.spec.score
    table = value_of(artifact, model, record.value, feeds).astype(np.float64)
    return np.concatenate([-table, table], axis=1) if record.single_logit else table


def scores_of(table: Array, classes: Array, region: Array | None) -> Array:
    """Scores of ``classes`` [N, K]; sums over the positions, if there are any."""
    picked = table[np.arange(len(table))[:, None], classes]
    picked = picked if region is None else picked * region
    return picked.reshape(*classes.shape, -1).sum(2)


def value_of(artifact: Artifact, model: ir.Model, name: str, feeds: Mapping[str, Array]) -> Array:
    """Run ``model``, whose weights lie beside the artifact, up to a value, by ONNX Runtime."""
    inputs = [value for value in model.graph.inputs if value.name in feeds]
    graph = ir.convenience.extract(model.graph, inputs, [name])
    part = ir.Model(graph, ir_version=model.ir_version)
    session = session_of(part, artifact.path.parent)
    (found,) = session.run(None, {value.name: feeds[value.name or ""] for value in graph.inputs})
    return found


def _worst_difference(
    artifact: Artifact, model: ir.Model, first: FirstRun, layer: Layer, generator: Generator
) -> float:
    """The largest disagreement of a layer's gradients with differences of the scores."""
    record, feeds = artifact.spec.score, first.source
    head = head_in_float64(model, layer.value, record.value, feeds)
    fed = feeds.get(layer.value)
    start = value_of(artifact, model, layer.value, feeds) if fed is None else fed
    start = start.astype(np.float64)
    head(start)  # here, and only here, quantisers round
    gradients = first.results[layer.gradients].astype(np.float64)
    selected, region = first.doubled

    def score(row: int, k: int, image: Array) -> float:
        """The score of a class where one image has another value at the layer."""
        value = start.copy()
        value[row] = image
        part = None if region is None else region[row, k]
        return score_of(record, head(value)[row], selected[row, k], part)

    worst = 0.0
    for row, k in np.ndindex(min(len(selected), _DIFFERENCED), selected.shape[1]):
        error = _row_error(partial(score, row, k), start[row], gradients[row, k], layer, generator)
        worst = max(worst, error if np.isfinite(error) else np.inf)
    return worst


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


def _row_error(
    score: Callable[[Array], float], start: Array, gradient: Array, layer: Layer, draw: Generator
) -> float:
    """Largest disagreement over the directions, relative to the gradient's length.

    The zeros that a ReLU leaves tie in a max pool, where the score has a slope to either side but
    no derivative. A direction that meets such a kink is tried again without moving the zeros.
    """
    length = float(np.linalg.norm(gradient))
    signs = draw.choice([-1.0, 1.0], gradient.shape)
    noise = draw.standard_normal(gradient.shape)
    moving = channel_first(start, layer) != 0
    step = _STEP * max(1.0, float(np.linalg.norm(start)))

    def slopes(direction: Array) -> tuple[float, float]:
        move = step * as_laid_out(direction, layer)
        return (score(start + move) - here) / step, (here - score(start - move)) / step

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
