"""`make_batch` converts images, classes and regions to an artifact's inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError, InputError
from ..session.session import Session, Tensors
from ..spec import Preprocess
from .image_files import Pixels
from .preprocess import Placement, place, prepare
from .region import Region, Weights, as_weights


def make_batch(
    session: Session,
    transform: Preprocess,
    images: Sequence[Pixels],
    selection: NDArray[Any],
    regions: Sequence[Region | None],
) -> tuple[Tensors, list[Placement], list[Weights] | None]:
    """Preprocess the images of one session run.

    Args:
        session: The artifact.
        transform: Its preprocessing.
        images: RGB uint8 [H, W, 3] each; of one size if the graph preprocesses them.
        selection: The value of the artifact's selector: class ids or ranks, [1, K], or weights.
        regions: One for each image; None: all positions.

    Returns:
        The artifact's inputs by name, padded to a fixed batch axis; for each image the geometry
        between it and the model's input; the region of each image, [*positions], None without
        regions.

    Raises:
        ImageError: An image is too narrow to be resized.
        InputError: A region is empty or of another shape.
        SessionError: ONNX Runtime failed.
    """
    places = [place(transform, *image.shape[:2]) for image in images]
    rows = [prepare(transform, *pair) for pair in zip(images, places, strict=True)]
    port = session.inputs[transform.input]
    # A fixed batch axis is filled with copies of the last image.
    rows += rows[-1:] * ((port.shape[0] or len(rows)) - len(rows))
    feeds: Tensors = {
        transform.input: np.stack(rows).astype(port.dtype, copy=False),
        session.spec.selector: selection,
    }
    if all(region is None for region in regions):
        return feeds, places, None
    extents = positions_of(session)
    positions = tuple(extent for extent in extents if extent is not None)
    if len(positions) < len(extents):
        # Some are dynamic: a run shows them.
        positions = session.spec.score.positions(session.output_shape(feeds))
    weights = [
        np.ones(positions, np.float32) if region is None else as_weights(region, at, positions)
        for region, at in zip(regions, places, strict=True)
    ]
    # As many regions as images, copies included.
    filled = [*weights, *weights[-1:] * (len(rows) - len(weights))]
    feeds[region_input(session)] = np.stack(filled)[:, None]
    return feeds, places, weights


def stored_transform(session: Session) -> Preprocess:
    """Return the stored preprocessing, if the model takes only an image.

    Raises:
        ImageError: The artifact stores none.
        InputError: The model takes more than an image.
    """
    transform = session.spec.preprocess
    if transform is None:
        raise ImageError(
            f"{session.path.name} stores no preprocessing; export it with preprocessing, or feed "
            "tensors to Explainer.run(arrays)"
        )
    others = sorted({port.name for port in session.model_inputs} - {transform.input})
    if others:
        raise InputError(f"{session.path.name} also takes {others}; use Explainer.run(arrays)")
    return transform


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
