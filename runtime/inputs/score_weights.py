"""A linear score is the inner product of the scored output with `score_weights`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, first_line, system_errors
from ..limits import ARRAY_BYTES
from ..reading import check_regular
from ..session.session import Session, Tensors, fits, shown

ScoreWeights: TypeAlias = NDArray[Any] | Mapping[str, NDArray[Any]] | str | Path


def read_weights(path: str | Path) -> NDArray[Any]:
    """Read weights from a file that ``numpy.save`` wrote.

    Raises:
        InputError: The file is missing or has another format.
    """
    check_regular(path, InputError, ARRAY_BYTES, "weights")
    try:
        with system_errors(InputError, f"cannot read weights from {path}"):
            # Mapped, and numbers alone: a header takes no memory, and a pickle is never loaded.
            return np.lib.format.open_memmap(str(path), mode="r")
    except InputError:
        raise
    except Exception as error:  # what the header makes numpy raise
        raise InputError(
            f"cannot read weights from {path}: no array of numbers ({first_line(error)}); write "
            "them with numpy.save"
        ) from error


def name_rows(
    session: Session, weights: ScoreWeights | None
) -> tuple[list[str], NDArray[np.float32]]:
    """Return the names of the K scores, and their weights float32 [1, K, *output].

    Args:
        session: An artifact with a linear score.
        weights: Numbers [K, *output], or [*output] for one score, named by their index; arrays
            [*output] by name; or a file of numbers.

    Raises:
        InputError: The weights are missing, or have another shape or type.
    """
    spec = session.spec
    extents = _extents(session)
    if isinstance(weights, (str, Path)):
        weights = read_weights(weights)
    if weights is None and spec.score.kind == "similarity":
        raise InputError(
            f"{session.path.name} compares '{spec.score.output}' with texts: give the bank that "
            "`graftcam prompts` made (--bank), --prompt with --text-encoder and --tokenizer, or "
            f"embeddings as score_weights, numbers [K, {shown(extents)}]"
        )
    if weights is None:
        raise InputError(
            f"{session.path.name} explains the inner product of '{spec.score.output}' with "
            f"weights; pass score_weights, numbers [K, {shown(extents)}]"
        )
    if isinstance(weights, Mapping):
        names, rows = [str(name) for name in weights], [np.asarray(v) for v in weights.values()]
        shapes = {row.shape for row in rows}
        if len(shapes) > 1:
            raise InputError(f"score_weights have shapes {sorted(shapes)}; pass all of one shape")
        array = np.stack(rows) if rows else np.zeros((0, *(extent or 1 for extent in extents)))
    else:
        array = np.asarray(weights)
        array = array[None] if array.ndim == len(extents) else array
        names = [str(row) for row in range(len(array))] if array.ndim else []
    check_weights(session, array[None], {1})
    return names, array[None].astype(np.float32)


def check_weights(session: Session, weights: NDArray[Any], rows: Collection[int]) -> None:
    """Raise InputError unless ``weights`` are finite numbers [N or 1, K, *output].

    Args:
        session: An artifact with a linear score.
        weights: The caller's array.
        rows: Valid numbers of rows, N and 1.
    """
    extents = _extents(session)
    numbers = weights.dtype.kind in "biuf"
    if not (numbers and fits(weights.shape, (None, None, *extents)) and len(weights) in rows):
        raise InputError(
            f"score_weights are {weights.dtype} {list(weights.shape)}; pass numbers "
            f"[N or 1, K, {shown(extents)}] (to explain(): [K, {shown(extents)}])"
        )
    if not np.isfinite(weights).all():
        raise InputError("score_weights are not finite; pass finite numbers")


def takes_weights(session: Session, weights: object, classes: object) -> bool:
    """Whether the artifact's score is linear; the request must fit that.

    Raises:
        InputError: Weights where the artifact takes classes, or classes where it takes weights.
    """
    name, score = session.path.name, session.spec.score
    if session.spec.score_weights is None and weights is not None:
        raise InputError(
            f"{name} takes no score_weights: its score is a {score.kind} of '{score.output}'; "
            "export it with score='linear' (--score linear)"
        )
    if session.spec.score_weights is not None and classes is not None:
        if score.kind == "similarity":
            raise InputError(
                f"{name} compares '{score.output}' with texts and has no classes; give prompts "
                "with a bank (--prompt, --bank), or embeddings as score_weights"
            )
        raise InputError(
            f"{name} explains the inner product of '{score.output}' with score_weights, not "
            "classes; pass score_weights alone"
        )
    return session.spec.score_weights is not None


def weights_of_ones(session: Session, feeds: Tensors, count: int) -> dict[str, NDArray[Any]]:
    """Return weights of ones for ``count`` scores, as feeds for a measurement of time.

    Args:
        session: An artifact with a linear score.
        feeds: The model's own inputs.
        count: K.
    """
    shape = session.output_shape(feeds)[1:]  # a run shows open extents
    return {session.spec.selector: np.ones((1, count, *shape), np.float32)}


def _extents(session: Session) -> tuple[int | None, ...]:
    """Return the extents of the scored output after the batch axis; None: dynamic."""
    return session.inputs[session.spec.selector].shape[2:]
