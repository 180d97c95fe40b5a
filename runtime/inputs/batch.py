"""`make_batch` converts examples, classes and regions to an artifact's inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..session.session import Session, Tensors
from .examples import Example
from .region import Region, Weights, as_weights
from .values import Photo


def make_batch(
    session: Session,
    main: str,
    examples: Sequence[Example],
    selection: NDArray[Any],
    regions: Sequence[Region | None],
) -> tuple[Tensors, list[Weights] | None]:
    """Convert the examples of one session run to the artifact's inputs.

    Args:
        session: The artifact.
        main: The input that the examples, and regions, are about.
        examples: Examples of one `Example.kind`.
        selection: The value of the artifact's selector: class ids or ranks, [N or 1, K], or
            weights.
        regions: One for each example; None: all positions.

    Returns:
        The artifact's inputs by name, padded to a fixed batch axis; the region of each example,
        [*positions], None without regions.

    Raises:
        ImageError: An image is too narrow to be resized.
        InputError: A region is empty or of another shape.
        SessionError: ONNX Runtime failed.
    """
    lacking = (session.inputs[main].shape[0] or len(examples)) - len(examples)
    if len(selection) > 1:
        selection = np.concatenate([selection, *[selection[-1:]] * lacking])
    feeds: Tensors = {session.spec.selector: selection}
    for name in examples[0].values:
        if name in examples[0].shared:
            feeds[name] = examples[0].values[name].row()
            continue
        rows = [example.values[name].row() for example in examples]
        # A fixed batch axis is filled with copies of the last example.
        stacked = np.stack(rows + rows[-1:] * lacking)
        dtype = session.inputs[name].dtype or stacked.dtype
        feeds[name] = stacked.astype(dtype, copy=False)
    if all(region is None for region in regions):
        return feeds, None
    extents = positions_of(session)
    positions = tuple(extent for extent in extents if extent is not None)
    if len(positions) < len(extents):
        # Some are dynamic: a run shows them.
        positions = session.spec.score.positions(session.output_shape(feeds))
    weights: list[Weights] = []
    for region, example in zip(regions, examples, strict=True):
        about = example.values[main]
        at = about.placement if isinstance(about, Photo) else None
        everywhere = np.ones(positions, np.float32)
        weights.append(
            everywhere if region is None
            else as_weights(region, at, positions, session.max_pixels)
        )  # fmt: skip
    # As many regions as examples, copies included.
    feeds[region_input(session)] = np.stack([*weights, *weights[-1:] * lacking])[:, None]
    return feeds, weights


def only_input(session: Session) -> str:
    """Return the name of the model's only input.

    Raises:
        InputError: It has several.
    """
    names = [port.name for port in session.model_inputs]
    if len(names) != 1:
        raise InputError(f"{session.path.name} takes {names}; pass a dict of arrays by name")
    return names[0]


def region_input(session: Session) -> str:
    """Return the name of the input that takes the region.

    Raises:
        InputError: There is none.
    """
    if session.spec.region is None:
        raise InputError(
            f"{session.path.name} takes no region: its output '{session.spec.score.output}' has no "
            "positions; leave the region out"
        )
    return session.spec.region


def positions_of(session: Session) -> tuple[int | None, ...]:
    """Return the extents of the scored output's positions; None: dynamic."""
    score = session.spec.score
    return score.positions(session.outputs[score.output])
