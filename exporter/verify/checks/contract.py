"""This module checks what an artifact promises by itself: record, classes, inputs' defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from ....runtime.errors import GraftcamError, SessionError
from ....runtime.methods.fusion import FUSED_METHOD, FUSES
from ....runtime.methods.table import METHODS
from ....runtime.session.contract import Ports
from ....runtime.session.session import Session
from ....runtime.settings import WEIGHTED
from ....runtime.spec import Spec
from ...errors import VerificationError
from ...graph.profiles import profile_of
from ..float64.straight_through import is_quantised
from ..runs.artifact import Artifact
from ..runs.box_tables import readable, scores_of_boxes
from ..runs.running import Array, Tensors, run_session
from ..verdict.compare import FLOOR, relative_errors
from ..verdict.findings import Finding, measured
from .baked_methods import check_baked
from .finite import BOUND, TABLED, bound_of, score_table, scores_of

_ROUNDED = 1e-4  # relative to the largest score: the table is computed without optimisations


def check_metadata(artifact: Path, model: ir.Model) -> tuple[Spec | None, list[Finding]]:
    """Read the record, and check that what it names exists; None where there is no record.

    The runtime's own reading is the first part of the check: strict about fields, types, version,
    inputs, outputs and the number of labels. Then every layer's value and the scores must be
    values of the graph, with the number of classes and the grid that the record gives them.
    """
    try:
        spec = Session(artifact, "cpu").spec
    except GraftcamError as error:
        # An export is verified in a temporary folder, whose name is of no use to the user.
        reason = str(error).replace(str(artifact), artifact.name)
        check = "runs" if isinstance(error, SessionError) else "metadata"
        return None, [Finding(check, "", "fail", reason=reason)]
    values = {value.name: value for node in model.graph for value in node.outputs}
    named = {
        "score" if spec.outputs is None else f"the score of {one.score.output}:": one.score.value
        for one in spec.by_output()
    }
    named |= {f"layer {one.name}:": one.value for one in spec.layers}
    wrong = [
        f"{what} {name!r} is no value of the graph; export again"
        for what, name in named.items()
        if name not in values
    ]
    wrong += [fault for one in spec.by_output() for fault in _wrong_classes(one, values)]
    wrong += _wrong_grids(spec, model)
    wrong += [
        f"layer {one.name} has maps of {method!r}, which is no method of this version"
        for one in spec.layers
        for method in one.baked
        if method not in METHODS
    ]
    if spec.fused is not None:
        known = {FUSED_METHOD, *FUSES}
        wrong += [
            f"maps are fused by {name!r}, which this version does not know"
            for name in (spec.fused.method, *spec.fused.maps)
            if name not in known
        ]
    status = "fail" if wrong else "pass"
    return spec, [Finding("metadata", "", status, reason="; ".join(wrong))]


def ports_of(graph: ir.Graph) -> Ports:
    """Return the inputs and outputs of a graph as ONNX Runtime would name their types."""
    inputs, outputs = (
        {value.name or "": _extents(value) for value in values}
        for values in (graph.inputs, graph.outputs)
    )
    types = {
        value.name or "": f"tensor({value.dtype.name.lower()})"
        for value in (*graph.inputs, *graph.outputs)
        if value.dtype is not None
    }
    return Ports(inputs, outputs, types)


def _extents(value: ir.Value) -> list[int | None]:
    shape = () if value.shape is None else value.shape
    return [extent if isinstance(extent, int) else None for extent in shape]


def _wrong_classes(spec: Spec, values: Mapping[str | None, ir.Value]) -> Iterator[str]:
    if spec.score.kind in (*WEIGHTED, "channel") or spec.detector is not None:
        return  # no classes, and channels wherever the layer has them
    value = values.get(spec.score.value)
    extent = None if value is None or value.shape is None else value.shape[1]
    classes = 2 if spec.score.single_logit else extent
    if isinstance(classes, int) and classes != spec.score.classes:
        yield f"the record has {spec.score.classes} classes, the scores have {classes}"


def _wrong_grids(spec: Spec, model: ir.Model) -> Iterator[str]:
    outputs = {value.name: value for value in model.graph.outputs}
    for layer in spec.layers:
        have = _extents(outputs[layer.heatmap])[2:]
        if outputs[layer.heatmap].shape is not None and have != layer.grid:
            given = f"the record gives layer {layer.name} the grid {layer.grid}"
            yield f"{given}, its heatmap has {have}"


def check_ranks(artifact: Artifact, model: ir.Model, feeds: Tensors) -> Finding:
    """Check that ranks give the classes in the order of the score table, with their scores.

    The table is the graph's own, [N, classes, *positions], run without optimisations.
    """
    spec = artifact.spec
    if spec.detector is not None:
        return _check_box_ranks(artifact, feeds, bound_of(model.graph))
    if spec.classes is None or spec.score.kind not in TABLED:
        reason = f"a {spec.score.kind} score is not read off a table as it is"
        return Finding("classes", spec.scores, "skipped", reason=reason)
    if is_quantised(model.graph):  # whose optimisations round otherwise, and reorder close scores
        artifact = replace(artifact, level="disable")
    table = score_table(artifact, model, artifact.source_feeds(feeds))
    totals = table.reshape(*table.shape[:2], -1).sum(2)
    depth = min(3, spec.score.classes)
    results = artifact.run({**feeds, **artifact.choose(feeds, 0, depth)})
    classes, scores = results[spec.classes], results[spec.scores].astype(np.float64)
    best = -np.sort(-totals, axis=1)[:, :depth]
    size = np.abs(totals[np.isfinite(totals)]).max(initial=0.0) or 1.0
    # By the scores, not the ids: classes that tie may come in any order.
    ids = np.where((classes >= 0) & (classes < totals.shape[1]), classes, 0)
    ordered, bound = scores_of(table, ids, None), bound_of(model.graph)
    order = _gap(ordered, best) / size
    error = max(order, _gap(scores, ordered) / size)
    # Narrow types round the table.
    bound = _ROUNDED if bound == BOUND else bound
    reason = (
        f"ranks -1 to -{depth} give classes {classes[0].tolist()}, the scores order them "
        f"{np.argsort(-totals[0])[:depth].tolist()}"
        if order > bound
        else f"the scores are not those of the classes that come with them (error {error:.1e})"
    )
    return measured("classes", spec.scores, error, bound, reason, level=artifact.level)


def _gap(one: Array, other: Array) -> float:
    """The largest difference; classes that a model masks have -inf in both."""
    with np.errstate(invalid="ignore"):
        return float(np.where(one == other, 0.0, np.abs(one - other)).max())


def _check_box_ranks(artifact: Artifact, feeds: Tensors, bound: float) -> Finding:
    """Check that ranks give the boxes in the order of their best class scores."""
    spec, detector = artifact.spec, artifact.spec.detector
    assert detector is not None
    ranks = -1 - np.arange(3, dtype=np.int64)[None, :]
    ranked = artifact.run({**feeds, detector.box_index: ranks})
    if not readable(spec, [*ranked]):
        reason = "the model's outputs do not show the scores that boxes are ranked by"
        return Finding("classes", spec.scores, "skipped", reason=reason)
    best = scores_of_boxes(spec, ranked, np).astype(np.float64).max(axis=2)
    expected = -np.sort(-best, axis=1)[:, :3]
    size = np.abs(expected).max() or 1.0
    error = float(np.abs(ranked[spec.scores][:, : expected.shape[1]] - expected).max() / size)
    reason = f"ranks -1 to -3 give boxes with scores {ranked[spec.scores][0].tolist()}, the best "
    reason += f"scores are {expected[0].tolist()}"
    return measured("classes", spec.scores, error, bound, reason, level=artifact.level)


def check_methods(artifact: Artifact, feeds: Tensors) -> list[Finding]:
    """Check that baked maps are what the runtime's methods make of activations and gradients."""
    layers = artifact.spec.layers
    names = [name for layer in layers for name in (layer.methods or {}).values()]
    names += artifact.spec.of_all_layers
    if not names:
        return []
    # More classes than Finer-CAM contrasts with, so that it must find the nearest.
    results = artifact.run({**feeds, **artifact.choose(feeds, 0, 6)})
    try:
        check_baked(results, artifact.spec)
    except VerificationError as error:
        return [Finding("heatmap", "baked methods", "fail", reason=str(error))]
    return [Finding("heatmap", name, "pass") for name in names]


def check_mixture(artifact: Artifact, feeds: Tensors) -> Finding:
    """Check that a request about several outputs gives what one request for each of them gives."""
    specs, name = artifact.spec.by_output(), artifact.spec.output_index
    assert name is not None
    places = np.arange(len(specs), dtype=np.int64)[None]
    mixed = artifact.run({**feeds, name: places})
    alone = [artifact.run({**feeds, name: places[:, place : place + 1]}) for place in places[0]]
    errors = {
        subject: float(
            relative_errors(
                mixed[subject], np.concatenate([one[subject] for one in alone], axis=1)
            ).max(initial=0.0)
        )
        for subject in artifact.class_wise
    }
    worst = max(errors, key=errors.__getitem__)
    reason = (
        f"{worst} differs by {errors[worst]:.1e} from what it is where each output is asked for "
        "by itself"
    )
    return measured("classes", name, errors[worst], _ROUNDED, reason)


def check_drop_in(artifact: Artifact, feeds: Tensors) -> Finding:
    """Check that the original inputs alone give the original outputs, and the best class's map."""
    spec, session = artifact.spec, artifact.session
    needed = [one.name for one in artifact.ports[0] if one.name not in feeds]
    status, reason = "skipped", ""
    if spec.score_weights is not None:
        reason = f"a {spec.score.kind} score has no default: {spec.score_weights} must be fed"
    elif not profile_of(spec.profile or "default").optional_inputs:
        reason = f"the inputs of a {spec.profile} artifact have no defaults"
    elif needed:
        status, reason = "fail", f"the artifact must also be fed {', '.join(needed)}"
    if reason:
        return Finding("drop-in", "", status, reason=reason)
    alone = run_session(session, feeds)
    plain = run_session(session, {**feeds, spec.selector: np.zeros((1, 0), np.int64)})
    best = run_session(session, {**feeds, spec.selector: np.array([[-1]], np.int64)})
    expected = {**best, **{name: plain[name] for name in artifact.outputs}}
    errors = {
        name: 0.0  # what is NaN in both is the same
        if np.array_equal(alone[name], value, equal_nan=value.dtype.kind == "f")
        else float(relative_errors(alone[name], value).max(initial=0.0))
        for name, value in expected.items()
        if value.ndim and value.size
    }
    worst = max(errors, key=errors.__getitem__)
    reason = f"{worst} differs by {errors[worst]:.1e} from what it is with class_index fed"
    subject = worst if errors[worst] > FLOOR else ""
    return measured("drop-in", subject, errors[worst], FLOOR, reason)
