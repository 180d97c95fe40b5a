"""These functions return the variants to measure, as calls without arguments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .subjects import SHAPE, Artifact
from .timing import Run
from .truth import Array, open_session, random_images

FIRST = 7  # the first class explained; any, the work is the same


def batch(images: int, side: int | None = None) -> Array:
    """The images that all ways get."""
    shape = SHAPE if side is None else (SHAPE[0], side, side)
    return random_images(shape, images, 0).numpy()


def plain_run(path: Path, pixels: Array, threads: int) -> Run:
    """Prediction by the plain file."""
    session = open_session(path, threads)
    feeds = {session.get_inputs()[0].name: pixels}
    return lambda: session.run(None, feeds)


def explained_runs(
    artifact: Artifact, pixels: Array, classes: Sequence[int], threads: int
) -> dict[int, Run]:
    """The artifact with each number of classes an image; one session for all."""
    session = open_session(artifact.path, threads)

    def run(count: int) -> Run:
        feeds = artifact.feeds(pixels, range(FIRST, FIRST + count))
        return lambda: session.run(artifact.fetched, feeds)

    return {count: run(count) for count in classes}


def part_run(part: Path, artifact: Artifact, pixels: Array, threads: int) -> Run:
    """The forward of the part above the layer, on random activations."""
    session = open_session(part, threads)
    feeds = random_feeds(session.get_inputs(), len(pixels))
    assert artifact.spec.preprocess is not None
    if artifact.spec.preprocess.input in feeds:
        # Asked for its shape only.
        feeds[artifact.spec.preprocess.input] = pixels
    return lambda: session.run(None, feeds)


def random_feeds(ports: Sequence[Any], images: int) -> dict[str, Array]:
    """Normal numbers for inputs of which the batch axis alone may be open."""
    draw = np.random.default_rng(0)
    return {
        port.name: draw.standard_normal(
            [axis if isinstance(axis, int) else images for axis in port.shape], np.float32
        )
        for port in ports
    }
