"""This module checks input dependence: different inputs must give different maps.

An exporter that takes a snapshot of gradients, or a layer that the image does not reach, gives the
same map for every image, and such a map looks as good as any. Gradients alone prove nothing: behind
a mean and a linear layer they are the same for every image, rightly. So the maps must differ; the
gradients have their own check, which compares them with a reference.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ....runtime.spec import Layer
from ..runs.artifact import Artifact
from ..runs.running import Tensors, some_rows
from ..verdict.compare import relative_errors
from ..verdict.findings import Finding, measured

# Rounding makes 1e-7; deep models with random weights, whose features hardly vary, a few 1e-3.
LEAST = 1e-5
_COMPARED = 3  # images: a first one, beside two others


def check_dependence(artifact: Artifact, feeds: Tensors) -> list[Finding]:
    """Compare the maps of the same classes for the inputs in ``feeds``, layer by layer.

    Args:
        artifact: The artifact.
        feeds: The model's own inputs, two different ones at least.
    """
    layers = artifact.spec.layers
    if all((feeds[name] == feeds[name][:1]).all() for name in artifact.batched):
        reason = "no two inputs differ; give two different images with --images"
        return [Finding("dependence", one.heatmap, "skipped", reason=reason) for one in layers]
    results = _run(artifact, feeds)
    return [_check_layer(layer, results) for layer in layers]


def check_batch(artifact: Artifact, feeds: Tensors, bound: float) -> list[Finding]:
    """Check that an image's results do not depend on the others of its batch.

    A score that reads other images has a gradient at each of them, and no map is one image's.

    Args:
        artifact: The artifact.
        feeds: The model's own inputs, three different ones at least.
        bound: The largest relative error that rounding explains.
    """
    spec, batched = artifact.spec, artifact.batched
    if artifact.batch is not None or artifact.images_in(feeds) < _COMPARED:
        return []
    chosen = artifact.choose(some_rows(feeds, slice(1), batched), 0, 1)
    chosen = {name: value[:1] for name, value in chosen.items()}
    names = [*(layer.activations for layer in spec.layers), spec.scores]

    def beside(other: int, place: int) -> Tensors:
        """The first image's results in a batch of two, at ``place``."""
        rows = [0, other] if place == 0 else [other, 0]
        both = {name: v[rows] if name in batched else v for name, v in feeds.items()}
        results = artifact.run({**both, **chosen})
        return {name: results[name][place : place + 1] for name in names}

    # At both places: a recurrent network passes on from one to the next only.
    pairs = [(beside(1, place), beside(2, place)) for place in (0, 1)]
    error = max(float(relative_errors(a[n], b[n])[0]) for a, b in pairs for n in names)
    if not error > bound:
        return []
    reason = (
        f"the images of a batch depend on each other: one's results change (by {error:.0e}) "
        "with another; fix the batch at 1 (--shape, or --no-dynamic-batch)"
    )
    return [Finding("dependence", "batch", "fail", reason=reason)]


def _run(artifact: Artifact, feeds: Tensors) -> Tensors:
    """Maps and activations for all inputs, of the same few classes by id or random weights."""
    spec = artifact.spec
    images, batched = artifact.images_in(feeds), artifact.batched
    step = artifact.batch or images
    chosen = artifact.choose(some_rows(feeds, slice(step), batched), 0, 3)
    chosen = {name: value[:1] for name, value in chosen.items()}
    if spec.score_weights is None and spec.detector is None:
        count = chosen[spec.selector].shape[1]
        chosen = {spec.selector: np.arange(count, dtype=np.int64)[None, :]}
    parts = [
        artifact.run({**some_rows(feeds, rows, batched), **chosen})
        for rows in (slice(start, start + step) for start in range(0, images, step))
    ]
    names = [n for layer in spec.layers for n in (layer.heatmap, layer.activations)]
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def _check_layer(layer: Layer, results: Tensors) -> Finding:
    maps = results[layer.heatmap]
    if not maps.any():
        reason = "every map of these inputs is empty; give images with --images"
        return Finding("dependence", layer.heatmap, "skipped", reason=reason)
    value, what = _largest_difference(maps), "maps"
    if value < LEAST and _largest_difference(results[layer.activations]) < LEAST:
        what = "activations"
    reason = (
        f"the {what} of layer {layer.name!r} do not depend on the input: {len(maps)} different "
        f"ones give the same {what}; choose another layer"
    )
    return measured("dependence", layer.heatmap, value, LEAST, reason)


def _largest_difference(rows: np.ndarray[Any, Any]) -> float:
    """The largest relative difference between two rows."""
    pairs = itertools.combinations(range(len(rows)), 2)
    return max(float(relative_errors(rows[i : i + 1], rows[j : j + 1])[0]) for i, j in pairs)
