"""A `TensorRun` runs an artifact on tensors; those that are alike run as rows of one batch.

A request can share a run only if the graph declares that all of its outputs have a row for each
image: their first axis has the same name as that of the model's main input. Values that have no
such row, which all images of a run share, must be the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import GraftcamError, InputError, RunError
from ...session.session import Session, Tensors


@dataclass(frozen=True, eq=False)
class TensorRun:
    """Tensors for a run of the artifact.

    Attributes:
        feeds: The artifact's inputs by name.
        names: The outputs.
        kind: Equal for runs that can be one; None: it runs alone.
        rows: Number of images.
    """

    feeds: Mapping[str, NDArray[Any]]
    names: Sequence[str]
    kind: Hashable
    rows: int


def tensor_run(
    session: Session, main: str, feeds: Mapping[str, NDArray[Any]], names: Sequence[str]
) -> TensorRun:
    """Describe a run of tensors.

    Args:
        session: The artifact.
        main: The model's input whose rows are the images.
        feeds: The artifact's inputs by name.
        names: The outputs.
    """
    batched = _batched(session, main)
    counts = {len(value) if value.ndim else 0 for name, value in feeds.items() if name in batched}
    rows = next(iter(counts)) if len(counts) == 1 else 0
    if not rows or not all(_has_rows(session, main, name) for name in names):
        return TensorRun(feeds, names, None, max(counts, default=1))
    alike: list[Hashable] = [
        (name, value.dtype.str, value.shape[1:])
        if name in batched or name in session.spec.own_inputs
        else (name, value.dtype.str, value.shape, hashlib.sha256(value.tobytes()).digest())
        for name, value in sorted(feeds.items())
    ]
    return TensorRun(feeds, names, ("tensors", *names, *alike), rows)


def run_together(
    session: Session, main: str, runs: Sequence[TensorRun]
) -> list[Tensors | GraftcamError]:
    """Run the artifact once for runs of one kind; return the outputs, or the error, of each.

    Raises:
        SessionError: ONNX Runtime failed for another reason than its inputs.
    """
    if len(runs) > 1:
        try:
            found = session.run(_joined(session, main, runs), runs[0].names)
        except (InputError, RunError):
            found = {}
        ends = np.cumsum([run.rows for run in runs])
        # The graph may declare other shapes than it computes.
        if found and {len(value) if value.ndim else 0 for value in found.values()} == {ends[-1]}:
            parts = {name: np.split(value, ends[:-1]) for name, value in found.items()}
            return [{name: rows[at] for name, rows in parts.items()} for at in range(len(runs))]
    return [_alone(session, run) for run in runs]


def _alone(session: Session, run: TensorRun) -> Tensors | GraftcamError:
    try:
        return session.run(run.feeds, run.names)
    except (InputError, RunError) as error:
        return error


def _joined(session: Session, main: str, runs: Sequence[TensorRun]) -> Tensors:
    """Return the inputs of all runs, whose own inputs have a row for each image or one for all."""
    batched, own = _batched(session, main), session.spec.own_inputs
    found = dict(runs[0].feeds)
    for name in found:
        if name in batched or name in own:
            rows = [
                np.broadcast_to(run.feeds[name], (run.rows, *run.feeds[name].shape[1:]))
                for run in runs
            ]
            found[name] = np.concatenate(rows)
    return found


def _batched(session: Session, main: str) -> set[str]:
    """Return the names of the model's inputs that have a row for each image in an open batch."""
    batch = _batch_of(session, main)
    return {
        port.name
        for port in session.model_inputs
        if batch is not None and session.axes[port.name][:1] == (batch,)
    }


def _batch_of(session: Session, main: str) -> str | None:
    """Return the name of the batch axis; None: it is fixed, or has none."""
    first = next(iter(session.axes[main]), None)
    return first if isinstance(first, str) and first else None


def _has_rows(session: Session, main: str, name: str) -> bool:
    """Whether an output has a row for each image, of a shape that no other image changes.

    The extents of graftcam's own outputs follow from those of the inputs. An open extent of one of
    the model's may depend on the values, such as the largest number of boxes in the batch.
    """
    first, *inner = session.axes[name] or (None,)
    if first is None or first != _batch_of(session, main):
        return False
    known = {axis for one in session.inputs for axis in session.axes[one]}
    return name in session.spec.own_outputs or all(
        isinstance(axis, int) or (axis and axis in known) for axis in inner
    )
