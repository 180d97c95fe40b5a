"""This module checks gradients by finite differences, for models without a PyTorch module.

The part of the graph from a target layer to the score is evaluated in float64, see `float64_head`.
The score's central difference along a direction must equal that direction's inner product with the
gradient that the artifact gives, see `differences`. Quantised models are compared in `quantised`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from ....runtime.methods.table import METHODS
from ....runtime.spec import Layer, Spec
from ...artifact.bank_of import bank_of
from ...clock import Progress
from ...errors import VerificationError, first_line
from ...graph.infer_shapes import GROWTH
from ..float64.differences import channel_first
from ..float64.head_gradients import check_gradients
from ..float64.values import values_of
from ..runs.artifact import Artifact
from ..runs.box_tables import edges_of, readable, scores_of_boxes, selected_scores
from ..runs.inputs import inputs_of_sizes, random_inputs
from ..runs.levels_sum import sum_of_levels
from ..runs.matrix import FirstRun, Matrix, Truth, first_run
from ..runs.running import Array, Draw, Tensors, run_session, some_rows
from ..runs.slots import slots_in_order
from ..runs.source import open_source
from ..runs.tensors import compare_runs
from ..verdict.deadline import NO_DEADLINE, Deadline
from ..verdict.findings import FORWARD, Finding, InputKind, Verdict, fails

# Each class of each image costs a dozen evaluations of the head in float64.
QUICK_FILE = Matrix(("all",), (2,), (1,))
BOUND = 1e-3  # float64 differences are far better; a kink between the two points is not
# What the artifact's own arithmetic adds: units in the last place, times a few dozen operators.
_BOUNDS = {ir.DataType.FLOAT16: 1e-2, ir.DataType.BFLOAT16: 1e-1}
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
    everything: bool = False,
) -> Verdict:
    """Compare outputs with the source file and gradients with finite differences.

    The differences confirm the first run, and all other runs must give the same. Where the forward
    pass is wrong, none are taken.

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
        everything: All runs and differences, whatever fails first.

    Raises:
        VerificationError: ONNX Runtime cannot load or run a file, or an input has an unknown type.
    """
    kind: InputKind = "random" if draw is None else "given"
    inputs = inputs_of(artifact, draw, images)
    firsts = [first_run(artifact, feeds, matrix, 0) for feeds in inputs]
    outputs = float_outputs(artifact, firsts[0])
    if not artifact.batch:
        # One image alone as well: there are kernels for it, and users give one most often.
        feeds = some_rows(inputs[0], slice(1), artifact.batched)
        alone = first_run(artifact, feeds, matrix, 0)
        # A file that squeezes its output has a single number for it.
        if all(alone.results[name].ndim == firsts[0].results[name].ndim for name in outputs):
            firsts.append(alone)
    layers = differentiated_layers(artifact)
    artifact.close()  # the source is opened next
    bound = bound_of(model.graph)
    plain = open_source(source, model)
    truths = [
        Truth(first, expected_of(artifact, model, plain, outputs, first), bound) for first in firsts
    ]
    del plain
    tallies = compare_runs(artifact, truths, matrix, kind, deadline, everything=everything)
    artifact.close()
    found = [finding for tally in tallies for finding in tally.findings()]
    findings = list[Finding]()
    if everything or not fails(found, *FORWARD):
        findings = check_differences(
            artifact, model, firsts, layers, bound, kind, deadline=deadline, progress=progress
        )
    findings += found
    images = sum(len(first.selected) for first in firsts[: len(inputs)])
    return Verdict(findings, "finite-differences", images)


def inputs_of(artifact: Artifact, draw: Draw | None, images: int) -> list[Tensors]:
    """The inputs of a verification, in chunks: those that ``draw`` makes, or random ones."""
    inside = artifact.inside
    if draw is not None:
        step = artifact.batch or (images if inside is None else 1)
        return [draw(step, 0, start) for start in range(0, images, step)]
    if inside is None:
        return inputs_of_sizes(artifact, images, np.random.default_rng(0))
    random = random_inputs(artifact, ())
    return [random(images, grown, 0) for grown in (0, GROWTH)]


def float_outputs(artifact: Artifact, first: FirstRun) -> list[str]:
    """The model's own outputs that are compared: floats by image, no ids and no counts."""
    values = first.results
    return [n for n in artifact.outputs if values[n].dtype.kind == "f" and values[n].ndim]


def differentiated_layers(artifact: Artifact) -> list[Layer]:
    """Layers whose gradients the artifact gives; the image is like one, but its value is fed."""
    spec, inside, layers = artifact.spec, artifact.inside, list(artifact.spec.layers)
    if spec.input_gradients is not None:
        image = artifact.inputs[artifact.image].name if inside is None else inside.name
        slopes = spec.input_gradients
        layers.append(Layer(image, image, "channels_first", [], 0, "", image, slopes))
    return layers


def check_differences(
    artifact: Artifact, model: ir.Model, firsts: Sequence[FirstRun], layers: Sequence[Layer],
    bound: float, inputs: InputKind, *, deadline: Deadline, progress: Progress,
) -> list[Finding]:  # fmt: skip
    """Compare every layer's gradients with differences of the scores."""
    generator, findings = np.random.default_rng(0), list[Finding]()
    for number, layer in enumerate(layers):
        progress(f"verify gradients of {layer.name}")
        share = deadline.share(len(layers) - number)
        findings.append(
            check_gradients(artifact, model, firsts, layer, bound, inputs, generator, share)
        )
    return findings


def expected_of(
    artifact: Artifact, model: ir.Model, plain: Any, outputs: Sequence[str], first: FirstRun
) -> Tensors:
    """What the source gives; gradients, which it does not have, are those of the first run.

    So are scores that are no entries of a table. Values inside the graph are computed without
    optimisations, those of a quantised model at the artifact's level.
    """
    spec, feeds, results = artifact.spec, first.source, first.results
    given = run_session(plain, feeds) if outputs else {}
    expected = slots_in_order(spec.detector, {name: given[name] for name in outputs}, results)
    expected |= {name: results[name] for name in (spec.scores, *spec.of_input.values())}
    if spec.score.similarity is not None:
        embeddings = given.get(spec.score.similarity.embedding)
        if embeddings is not None:
            expected[spec.scores] = similar_scores(artifact, embeddings, first.selected)
    elif spec.score.kind in TABLED and spec.detector is None:
        expected[spec.scores] = scores_of(score_table(artifact, model, feeds), *first.doubled)
    for layer in spec.layers:
        value = value_of(artifact, model, layer.value, feeds)
        laid = np.stack([channel_first(row, layer) for row in value])
        expected[layer.activations] = laid
        expected[layer.gradients] = results[layer.gradients]
        method = METHODS[layer.method or "gradcam"]
        expected[layer.heatmap] = method(laid, results[layer.gradients])
    if spec.detector is not None:
        expected |= expected_boxes(spec, artifact, expected, first)
    return expected


def similar_scores(artifact: Artifact, embeddings: Array, selected: Array) -> Array:
    """The scores of texts, [N, K], of the model's embeddings [N, width].

    Args:
        artifact: The artifact.
        embeddings: What the source gives.
        selected: Places in the artifact's bank, [N, K]; or the texts' embeddings, [N, K, width].
    """
    how, bank = artifact.spec.score.similarity, bank_of(artifact.path, artifact.spec)
    assert how is not None
    texts = (selected if bank is None else bank.vectors[selected]).astype(np.float64)
    image = embeddings.astype(np.float64)[:, None]
    lengths = np.linalg.norm(texts, axis=2) * np.linalg.norm(image, axis=2)
    return how.scale * (texts * image).sum(2) / lengths + (how.bias or 0.0)


def expected_boxes(spec: Spec, artifact: Artifact, expected: Tensors, first: FirstRun) -> Tensors:
    """Boxes, scores and the common map of a detector, from the model's outputs where they show it.

    Where they do not, the first run's own boxes and scores are taken: then the file's own outputs
    of all boxes come from the same nodes, and there is nothing to compare with.
    """
    detector, results = spec.detector, first.results
    assert detector is not None
    found = {detector.heatmap: sum_of_levels([expected[one.heatmap] for one in spec.layers])}
    if not readable(spec, artifact.outputs):
        return found | {detector.boxes: results[detector.boxes]}
    image = first.source[next(iter(artifact.batched))]
    edges = edges_of(detector, expected, image.shape[2:], np)
    found[detector.boxes] = np.take_along_axis(edges, first.selected[..., 1:2], axis=1)
    scores = scores_of_boxes(spec, expected, np)
    found[spec.scores] = selected_scores(detector, scores, edges, first.selected, np)
    return found


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
    """Run ``model``, whose weights lie beside the artifact, up to a value, by ONNX Runtime.

    Raises:
        VerificationError: ONNX Runtime cannot run it.
    """
    try:
        return values_of(artifact, model, feeds, [name])[name]
    except Exception as error:  # ONNX Runtime's exceptions share no base of their own
        reason = f"ONNX Runtime cannot run the model up to {name!r}: {first_line(error)}"
        raise VerificationError(reason) from error


def bound_of(graph: ir.Graph) -> float:
    """The error that the graph's narrowest float type explains."""
    kinds = {value.dtype for node in graph for value in node.outputs}
    return max(_BOUNDS.get(kind, BOUND) for kind in {ir.DataType.FLOAT, *kinds} if kind)
