"""This module checks the gradients of one layer by finite differences, as long as there is time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import onnx_ir as ir
from numpy.random import Generator

from ....runtime.spec import Layer
from ...errors import first_line
from ...graph.ort_session import Where
from ..runs.artifact import Artifact
from ..runs.matrix import FirstRun
from ..runs.running import Array, Tensors
from ..verdict.compare import relative_errors
from ..verdict.deadline import Deadline, OutOfTime, over
from ..verdict.findings import Finding, InputKind, measured
from .differences import CALLS, Differences, Gradient, compare_all, with_maps
from .head import Float64Head
from .score_function import score_of
from .straight_through import without_codes
from .values import values_of

_DIFFERENCED = 2  # images; the others of a chunk are compared with the first run only
_EVALUATION = "the evaluation in float64"


class _NotProvenError(Exception):
    """Why finite differences cannot be taken."""


def check_gradients(
    artifact: Artifact, model: ir.Model, firsts: Sequence[FirstRun], layer: Layer, bound: float,
    kind: InputKind, generator: Generator, deadline: Deadline,
) -> Finding:  # fmt: skip
    """Compare a layer's gradients with differences of the scores.

    One gradient that was compared in all directions is a proof, more are a better one.

    Args:
        artifact: The artifact.
        model: The graph that the layer's value and the score are taken from.
        firsts: Runs of the artifact, with inputs of different sizes.
        layer: The layer.
        bound: The largest error that is accepted.
        kind: Of the inputs.
        generator: Draws directions.
        deadline: When to end.
    """
    found, doubt = Differences(), ""
    for number, first in enumerate(firsts):
        share = deadline.share(len(firsts) - number)
        more, off = differences_at(artifact, model, first, layer, bound, generator, share)
        found, doubt = found | more, doubt or off
    return finding_of(found, layer.gradients, bound, kind, artifact.level, doubt)


def differences_at(
    artifact: Artifact, model: ir.Model, first: FirstRun, layer: Layer, bound: float,
    generator: Generator, deadline: Deadline,
) -> tuple[Differences, str]:  # fmt: skip
    """Compare a layer's gradients in one run; see `check_gradients`.

    Returns:
        The comparison, and why a disagreement need not be the artifact's fault.
    """
    rows, classes = first.doubled[0].shape[:2]
    planned = min(rows, _DIFFERENCED) * classes
    return attempted(
        lambda: _compare(artifact, model, first, layer, bound, generator, deadline), planned,
        deadline,
    )  # fmt: skip


def attempted(
    compare: Callable[[], tuple[Differences, str]], planned: int, deadline: Deadline
) -> tuple[Differences, str]:
    """Make a comparison; where it cannot be made, return why."""
    try:
        return compare()
    except OutOfTime:
        reason = over(deadline)
    except _NotProvenError as error:
        reason = str(error)
    except Exception as error:  # the reference evaluator's, of any kind
        reason = f"{_EVALUATION} fails: {type(error).__name__}: {first_line(error)}"
    return Differences(planned=planned, reason=reason), ""


def finding_of(
    found: Differences, subject: str, bound: float, kind: InputKind, level: Where,
    doubt: str = "",
) -> Finding:  # fmt: skip
    """What a comparison with finite differences has shown.

    Args:
        found: The comparison.
        subject: The tensor.
        bound: The largest error that is accepted.
        kind: Of the inputs.
        level: Optimisation level of the artifact.
        doubt: Why a disagreement need not be the artifact's fault.
    """
    wrong = found.error > bound
    if (wrong and doubt) or (not wrong and not found.done):
        parts = (
            f"not compared with finite differences, because {doubt or found.reason}",
            found.remark,
        )
        reason = "; ".join(part for part in parts if part)
        return Finding("gradients", subject, "unproven", reason=reason, inputs=kind)
    parts = [found.left_out, found.remark]
    if wrong:
        parts = [f"error {found.error:.1e} (bound {bound:.0e})", found.remark]
    elif found.done < found.planned or found.flips:
        why = f": {found.reason}" if found.done < found.planned else ""
        parts.insert(0, f"{found.done} of {found.planned} compared{why}")
    reason = "; ".join(part for part in parts if part)
    finding = measured("gradients", subject, found.error, bound, reason, level=level, inputs=kind)
    return finding if wrong else replace(finding, reason=reason)


def _compare(
    artifact: Artifact, model: ir.Model, first: FirstRun, layer: Layer, bound: float,
    generator: Generator, deadline: Deadline,
) -> tuple[Differences, str]:  # fmt: skip
    """The comparison for one run, and what casts doubt on it."""
    record, feeds, folder = artifact.spec.score, first.source, artifact.path.parent
    values = partial(values_of, artifact, model, feeds)
    # Where the artifact was: a steep model's gradient is another one at the source's own value.
    start = values([layer.value])[layer.value].astype(np.float64)
    if layer.activations in first.results:
        start = with_maps(start, first.results[layer.activations], layer)
    head: Callable[[Array], Array] = _same
    remarks = list[str]()
    if layer.value == record.value:
        table = start
    else:
        floats = without_codes(model, layer.value, record.value, feeds, values)
        head = Float64Head(floats, layer.value, record.value, feeds, folder)
        table = _first_call(head, start, deadline)
        remarks = head.in_float32
    selected, region = first.doubled
    detector = artifact.spec.detector
    if detector is not None and detector.anchors is not None:
        selected = selected.copy()
        selected[..., 1] = first.results[detector.anchors]
    gradients = first.results[layer.gradients].astype(np.float64)

    def score(row: int, k: int, image: Array) -> float:
        """The score of a class where one image has another value at the layer."""
        value = start.copy()
        value[row] = image
        part = None if region is None else region[row, k]
        return score_of(record, head(value)[row], selected[row, k], part)

    coarse = bool(remarks)
    places = [*np.ndindex(min(len(selected), _DIFFERENCED), selected.shape[1])]
    asked = (
        Gradient(partial(score, row, k), start[row], gradients[row, k], layer, in_float32=coarse)
        for row, k in places
    )
    found = compare_all(asked, len(places), generator, deadline)
    found = replace(found, remark="; ".join(remarks))
    wrong = found.error > bound
    return found, _doubt(artifact, model, table, feeds, bound) if wrong else ""


def _same(value: Array) -> Array:
    """The head of a layer that is the score table itself."""
    return value


def _first_call(head: Float64Head, start: Array, deadline: Deadline) -> Array:
    """The table at the point where differences are taken; here, and only here, quantisers round.

    Raises:
        _NotProvenError: It takes so long that not even one gradient can be compared in time.
    """
    head.deadline = deadline
    try:
        table = head(start)
    except OutOfTime:
        if not head.slowest:
            reason = "no time was left to run the model behind it in float64"
            raise _NotProvenError(reason) from None
        raise _NotProvenError(
            f"one run of the model behind it, in float64, takes more than {deadline.seconds:.3g} s"
            f" (it was at {head.slowest})"
        ) from None
    head(start)  # again: the first call also looks for kernels
    if CALLS * head.seconds > deadline.left:
        raise _NotProvenError(
            f"one run of the model behind it, in float64, takes {head.seconds:.1f} s (most of it "
            f"{head.slowest}), and {CALLS} are needed in {deadline.left:.0f} s"
        )
    return table


def _doubt(artifact: Artifact, model: ir.Model, table: Array, feeds: Tensors, bound: float) -> str:
    """What is wrong with the evaluation in float64, if it gives other scores than the model."""
    name = artifact.spec.score.value
    plain = values_of(artifact, model, feeds, [name])[name].astype(np.float64)
    clear = np.isfinite(table) & np.isfinite(plain)
    errors = relative_errors(np.where(clear, table, 0), np.where(clear, plain, 0))
    error = float(errors.max(initial=0.0))
    if error <= bound:
        return ""
    return f"{_EVALUATION} gives other scores than ONNX Runtime (error {error:.1e})"
