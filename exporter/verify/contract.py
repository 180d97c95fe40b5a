"""This module checks what an artifact promises by itself: record, classes, inputs' defaults."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from ...runtime.errors import GraftcamError
from ...runtime.session.session import Session
from ...runtime.spec import Spec
from ..errors import VerificationError
from .baked_methods import check_baked
from .compare import FLOOR, relative_errors, three_digits
from .embedded import Embedded
from .findings import Finding
from .finite import BOUND, TABLED, bound_of, score_table, scores_of
from .running import Array, Tensors, best_or_drawn, required_feeds, run_session

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
        # An export is verified in a temporary folder, whose name tells the user nothing.
        reason = str(error).replace(str(artifact), artifact.name)
        return None, [Finding("metadata", "", "fail", reason=reason)]
    values = {value.name: value for node in model.graph for value in node.outputs}
    wrong = [
        f"{what} {name!r} is no value of the graph; export again"
        for what, name in (
            ("score", spec.score.value),
            *((f"layer {layer.name}:", layer.value) for layer in spec.layers),
        )
        if name not in values
    ]
    wrong += [
        fault for fault in (_wrong_classes(spec, values), *_wrong_grids(spec, model)) if fault
    ]
    if wrong:
        return spec, [Finding("metadata", "", "fail", reason="; ".join(wrong))]
    return spec, [Finding("metadata", "", "pass")]


def _wrong_classes(spec: Spec, values: Mapping[str | None, ir.Value]) -> str:
    if spec.score.kind in ("linear", "channel"):
        return ""  # no classes, and channels wherever the layer has them
    value = values.get(spec.score.value)
    extent = None if value is None or value.shape is None else value.shape[1]
    classes = 2 if spec.score.single_logit else extent
    if not isinstance(classes, int) or classes == spec.score.classes:
        return ""
    return f"the record has {spec.score.classes} classes, the scores have {classes}"


def _wrong_grids(spec: Spec, model: ir.Model) -> list[str]:
    outputs = {value.name: value for value in model.graph.outputs}
    wrong: list[str] = []
    for layer in spec.layers:
        shape = outputs[layer.heatmap].shape
        have = [] if shape is None else [e if isinstance(e, int) else None for e in shape[2:]]
        if shape is not None and have != layer.grid:
            wrong.append(f"the record gives layer {layer.name} the grid {layer.grid}, its heatmap "
                         f"has {have}")  # fmt: skip
    return wrong


def check_ranks(
    session: Any, spec: Spec, model: ir.Model, feeds: Tensors, folder: Path, inside: Embedded | None
) -> Finding:
    """Check that ranks give the classes in the order of the score table, with their scores.

    The table is the graph's own, [N, classes, *positions], run without optimisations.
    """
    if spec.classes is None or spec.score.kind not in TABLED:
        reason = f"a {spec.score.kind} score is not read off a table as it is"
        return Finding("classes", spec.scores, "skipped", reason=reason)
    taken = feeds if inside is None else inside.source_feeds(feeds)
    table = score_table(model, spec, taken, folder)
    totals = table.reshape(*table.shape[:2], -1).sum(2)
    depth = min(3, spec.score.classes)
    ranks = -1 - np.arange(depth, dtype=np.int64)[None, :]
    results = run_session(session, {**required_feeds(session, spec), **feeds, spec.selector: ranks})
    classes, scores = results[spec.classes], results[spec.scores].astype(np.float64)
    best = -np.sort(-totals, axis=1)[:, :depth]
    size = np.abs(totals).max() or 1.0
    # By the scores, not the ids: classes that tie may come in any order.
    ids = np.where((classes >= 0) & (classes < totals.shape[1]), classes, 0)
    order = float(np.abs(scores_of(table, ids, None) - best).max() / size)
    table_error = float(np.abs(scores - scores_of(table, ids, None)).max() / size)
    error, bound = max(order, table_error), _bound(model)
    if error <= bound:
        return Finding("classes", spec.scores, "pass", three_digits(error), bound, level="all")
    reason = (
        f"ranks -1 to -{depth} give classes {classes[0].tolist()}, the scores order them "
        f"{np.argsort(-totals[0])[:depth].tolist()}"
        if order > bound
        else f"the scores are not those of the classes that come with them (error {error:.1e})"
    )
    return Finding("classes", spec.scores, "fail", three_digits(error), bound, reason, "all")


def _bound(model: ir.Model) -> float:
    """Narrow types round the table; integer kernels round it otherwise than float ones."""
    bound = bound_of(model.graph)
    return _ROUNDED if bound == BOUND else bound


def check_methods(session: Any, spec: Spec, feeds: Tensors) -> list[Finding]:
    """Check that baked maps are what the runtime's methods make of activations and gradients."""
    names = [name for layer in spec.layers for name in (layer.methods or {}).values()]
    if not names:
        return []
    # More classes than Finer-CAM contrasts with, so that it must find the nearest.
    chosen = best_or_drawn(session, feeds, spec, 0, 6)
    results = run_session(session, {**required_feeds(session, spec), **feeds, **chosen})
    try:
        check_baked(results, spec)
    except VerificationError as error:
        return [Finding("heatmap", "baked methods", "fail", reason=str(error))]
    return [Finding("heatmap", name, "pass") for name in names]


def check_drop_in(session: Any, spec: Spec, feeds: Tensors) -> Finding:
    """Check that the original inputs alone give the original outputs, and the best class's map."""
    if spec.score_weights is not None:
        reason = f"a linear score has no default: {spec.score_weights} must be fed"
        return Finding("drop-in", "", "skipped", reason=reason)
    if spec.profile == "web":
        reason = "JavaScript cannot feed an input with a default: web artifacts have none"
        return Finding("drop-in", "", "skipped", reason=reason)
    needed = [one.name for one in session.get_inputs() if one.name not in feeds]
    if needed:
        reason = f"the artifact must also be fed {', '.join(needed)}"
        return Finding("drop-in", "", "fail", reason=reason)
    alone = run_session(session, feeds)
    none: Array = np.zeros((1, 0), np.int64)
    plain = run_session(session, {**feeds, spec.selector: none})
    best = run_session(session, {**feeds, spec.selector: np.array([[-1]], np.int64)})
    expected = {
        **best,
        **{name: value for name, value in plain.items() if name not in spec.own_outputs},
    }
    errors = {
        name: float(relative_errors(alone[name], value).max(initial=0.0))
        for name, value in expected.items()
        if value.ndim and value.size
    }
    worst = max(errors, key=errors.__getitem__)
    if errors[worst] <= FLOOR:
        return Finding("drop-in", "", "pass", three_digits(errors[worst]), FLOOR)
    reason = f"{worst} differs by {errors[worst]:.1e} from what it is with class_index fed"
    return Finding("drop-in", worst, "fail", three_digits(errors[worst]), FLOOR, reason)
