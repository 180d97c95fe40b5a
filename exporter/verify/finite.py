"""This module checks gradients by finite differences, for models without a PyTorch module.

The part of the graph from a target layer to the score is evaluated in float64, see `float64_head`.
The score's central difference along a direction must equal that direction's inner product with the
gradient that the artifact gives, see `differences`. Where the head quantises, the differences are
those of the lines that its staircases follow, see `straight_through`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from ...runtime.methods.table import METHODS
from ...runtime.spec import Layer
from ..clock import Progress
from ..graph.infer_shapes import GROWTH
from .artifact import Artifact
from .compare import relative_errors
from .deadline import NO_DEADLINE, Deadline
from .differences import channel_first
from .findings import Finding, InputKind, Verdict, measured
from .float64_head import run_part
from .head_gradients import check_gradients
from .inputs import inputs_of_sizes, random_inputs
from .matrix import FirstRun, Matrix, Truth, first_run
from .running import Array, Draw, Tensors, load_session, run_session
from .tensors import compare_runs

# Each class of each image costs a dozen evaluations of the head by the reference evaluator.
QUICK_FILE = Matrix(("all",), (2,), (1,))
BOUND = 1e-3  # float64 differences are far better; a kink between the two points is not
# What the artifact's own arithmetic adds: units in the last place, times a few dozen operators.
_BOUNDS = {ir.DataType.FLOAT16: 1e-2, ir.DataType.BFLOAT16: 1e-1}
_QUANTISED = 5e-2  # a number near the middle between two codes may be rounded to either
TABLED = ("logit", "output")  # kinds of scores that are entries of the score table


def verify_file(
    artifact: Artifact,
    model: ir.Model,
    source: Path,
    *,
    matrix: Matrix = QUICK_FILE,
    draw: Draw | None = None,
    images: int = 2,
    deadline: Deadline = NO_DEADLINE,
    progress: Progress = lambda step: None,
) -> Verdict:
    """Compare outputs with the source file and gradients with finite differences.

    The differences confirm the first run, and all other runs must give the same.

    Args:
        artifact: The artifact.
        model: The graph that values and differences are taken from: the source's, or the
            artifact's own; it takes what an embedded training transform gives.
        source: The file that it was made from, or the model's own part of the artifact; likewise.
        matrix: Which runs are made.
        draw: Makes the inputs; random ones by default.
        images: Number of inputs, if the batch is open.
        deadline: When to end.
        progress: Called with the name of each step as it begins.

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
    tallies = compare_runs(artifact, truths, matrix, kind, deadline)
    vars(artifact).pop("session", None)
    for number, layer in enumerate(layers):
        progress(f"verify gradients of {layer.name}")
        share = deadline.share(len(layers) - number)
        findings.append(
            check_gradients(artifact, model, firsts, layer, bound, kind, generator, share)
        )
    findings += [finding for tally in tallies for finding in tally.findings()]
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
    return run_part(model, [name], feeds, artifact.path.parent)[name]


def is_quantised(graph: ir.Graph) -> bool:
    """Whether the graph rounds something to codes."""
    return any(node.op_type == "QuantizeLinear" for node in graph)


def bound_of(graph: ir.Graph) -> float:
    """The error that the graph's narrowest float type, or its quantisers, explain."""
    if is_quantised(graph):
        return _QUANTISED
    kinds = {value.dtype for node in graph for value in node.outputs}
    return max(_BOUNDS.get(kind, BOUND) for kind in {ir.DataType.FLOAT, *kinds} if kind)
