"""These functions return the variants to measure, as calls without arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .session import open_session
from .subjects import INPUT, Artifact
from .timing import Run
from .truth import Array, random_images

FIRST = 7  # the first class explained; any, the work is the same


def batch(images: int, side: int = 224) -> Array:
    """The images that all ways get."""
    return random_images((3, side, side), images, 0).numpy()


def plain_run(path: Path, pixels: Array, threads: int) -> Run:
    """Prediction by the plain file."""
    session = open_session(path, threads)
    feeds = {session.get_inputs()[0].name: pixels}
    return lambda: session.run(None, feeds)


def explained_runs(
    artifact: Artifact, pixels: Array, classes: Mapping[str, int], threads: int
) -> dict[str, Run]:
    """The artifact with each number of classes an image, by name; one session for all."""
    session = open_session(artifact.path, threads)

    def run(count: int) -> Run:
        feeds = artifact.feeds(pixels, range(FIRST, FIRST + count))
        return lambda: session.run(artifact.fetched, feeds)

    return {name: run(count) for name, count in classes.items()}


def part_run(part: Path, pixels: Array, threads: int) -> Run:
    """The forward of the part above the layer, on random activations."""
    session = open_session(part, threads)
    feeds = part_feeds(session, pixels)
    return lambda: session.run(None, feeds)


def part_feeds(session: Any, pixels: Array) -> dict[str, Array]:
    """Inputs of the part above a layer: random activations, and the pixels if it reads them."""
    feeds = random_feeds(session.get_inputs(), len(pixels))
    if INPUT in feeds:
        # Asked for its shape only.
        feeds[INPUT] = pixels
    return feeds


def random_feeds(ports: Sequence[Any], images: int) -> dict[str, Array]:
    """Normal numbers for inputs of which the batch axis alone may be open."""
    draw = np.random.default_rng(0)
    return {
        port.name: draw.standard_normal(
            [axis if isinstance(axis, int) else images for axis in port.shape], np.float32
        )
        for port in ports
    }
