"""`gallery` explains the given images with the reference and with the artifact, side by side.

The reference is PyTorch, in the model's own precision. For an ONNX file there is no PyTorch model:
there the artifact runs a second time, without ONNX Runtime's optimisations.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ....runtime.inputs.image_files import Pixels
from ....runtime.inputs.preprocess import place
from ....runtime.inputs.scores import probabilities
from ....runtime.output.render import (
    Projection,
    Scene,
    normalise,
    overlay,
    palette,
    project,
)
from ....runtime.spec import Spec
from ...errors import VerificationError
from ...graph.open_file import open_file
from ...verify.run_checks import Origin
from ...verify.runs.artifact import Artifact
from ...verify.runs.embedded import Embedded
from ...verify.runs.inputs import Images
from ...verify.runs.running import Array, Tensors
from .detections import BoxGallery, box_gallery
from .pictures import MOST, data_uri
from .scale import shaded

Explain: TypeAlias = Callable[[Tensors, npt.NDArray[np.int64]], Array]


@dataclass(frozen=True)
class Shown:
    """One image's row on the page.

    Attributes:
        name: Its file.
        label: The explained class, which is the predicted one.
        probability: Its probability, if there are probabilities.
        image: The image as a data URI.
        reference: The reference's overlay, likewise.
        artifact: The artifact's overlay.
        difference: The difference of the two maps, on the page's scale, dark on white.
        largest: The largest difference, as a share of the map's maximum.
        empty: Whether the map has no evidence.
        output: The output that the class is of, where the artifact explains several.
    """

    name: str
    label: str
    probability: float | None
    image: str
    reference: str
    artifact: str
    difference: str
    largest: float
    empty: bool
    output: str | None = None


@dataclass(frozen=True)
class Gallery:
    """All rows, and the time for one image.

    Attributes:
        rows: One for each image and output.
        reference: Name of the reference.
        seconds: Median time of a run, for the reference and the artifact.
        left_out: Number of images that are not shown.
    """

    rows: list[Shown]
    reference: str
    seconds: dict[str, float]
    left_out: int = 0


def gallery(path: Path, spec: Spec, origin: Origin, images: Images) -> Gallery | BoxGallery | None:
    """Explain the predicted class of each image and output twice, at the first target layer.

    Of a detector, the boxes that the artifact finds are explained. Returns None if there are no
    classes to predict, or if ONNX Runtime cannot run the artifact, which the verdict reports.
    """
    if spec.classes is None:
        return None
    if spec.detector is not None:
        return box_gallery(path, images)
    try:
        return _gallery(path, spec, origin, images)
    except VerificationError:
        return None


def _gallery(path: Path, spec: Spec, origin: Origin, images: Images) -> Gallery:
    artifact = Artifact(path, spec, Embedded.of(open_file(path), spec))
    layer, transform = spec.layers[0], spec.preprocess
    assert transform is not None
    draw = images.draw(artifact)
    each = [artifact.about(number) for number in range(len(spec.output_names))]
    name, explains = _references(artifact, each, origin)
    times: dict[str, list[float]] = {"ONNX Runtime": [], name: []}
    rows: list[Shown] = []
    for number, image in enumerate(images.images[:MOST]):
        feeds = draw(artifact.batch or 1, 0, number)
        ranked = {**feeds, spec.selector: np.array([[-1]], np.int64)}
        placed = place(transform, *image.shape[:2])
        for about, explain in zip(each, explains, strict=True):
            results = _timed(times["ONNX Runtime"], about.run, ranked)
            classes = results[spec.classes or ""]
            other = _timed(times[name], explain, feeds, classes)
            output = results[about.spec.score.output][0]
            both = other, results[layer.heatmap]
            maps = [project(normalise(one[0, 0]), placed) for one in both]
            file, chosen = images.names[number], int(classes[0, 0])
            rows.append(_row(about.spec, file, image, maps, chosen, output))
    # The first run of a session is slow; with one image there is no other.
    seconds = {who: statistics.median(taken[1:] or taken) for who, taken in times.items()}
    return Gallery(rows, name, seconds, len(images.images) - len(rows) // len(each))


def _references(
    artifact: Artifact, each: Sequence[Artifact], origin: Origin
) -> tuple[str, list[Explain]]:
    """Return the reference's name, and for each output a function from inputs and classes."""
    if origin.module is None:
        plain = replace(artifact, level="disable")
        _ = plain.session  # opened here, where no time is measured
        found = [_unoptimised(plain.about(number)) for number in range(len(each))]
        return "ONNX Runtime, unoptimised", found
    return "PyTorch", [_autograd(about, origin) for about in each]


def _unoptimised(artifact: Artifact) -> Explain:
    """The artifact's own maps, without ONNX Runtime's optimisations."""
    spec = artifact.spec

    def explain(feeds: Tensors, classes: npt.NDArray[np.int64]) -> Array:
        return artifact.run({**feeds, spec.selector: classes})[spec.layers[0].heatmap]

    return explain


def _autograd(artifact: Artifact, origin: Origin) -> Explain:
    """The maps of the module that the artifact was made from."""
    assert origin.module is not None
    spec, layer = artifact.spec, artifact.spec.layers[0]
    import torch

    from ...source.torch_inputs import ModuleInputs
    from ...verify.checks.torch_reference import Reference

    examples = ModuleInputs.of(origin.examples)
    watched = Reference(origin.module, spec.layers, None, artifact=artifact)

    def explain(feeds: Tensors, classes: npt.NDArray[np.int64]) -> Array:
        arrays = artifact.source_feeds(feeds).values()
        inputs = examples.with_tensors([torch.from_numpy(array) for array in arrays])
        return watched(inputs, classes).heatmaps[layer.name]

    return explain


def _timed(times: list[float], run: Callable[..., Any], *args: Any) -> Any:
    since = time.perf_counter()
    result = run(*args)
    times.append(time.perf_counter() - since)
    return result


def _row(
    spec: Spec,
    name: str,
    image: Pixels,
    maps: Sequence[npt.NDArray[np.float32]],
    chosen: int,
    output: Array,
) -> Shown:
    """Draw one row from the reference's map and the artifact's, [H, W] in [0, 1]."""
    shares = probabilities(spec.score, output)
    difference = np.abs(maps[0] - maps[1])
    largest = float(difference.max())
    size, colours = (image.shape[0], image.shape[1]), palette()
    scenes = (Scene(image, Projection.over(one, size), colours) for one in maps)
    views = [image, *(overlay(scene) for scene in scenes)]
    views.append(shaded(difference))
    before, reference, artifact, differing = (data_uri(view) for view in views)
    label = spec.labels[chosen] if spec.labels else f"class {chosen}"
    share = float(shares[chosen]) if shares is not None and shares.ndim == 1 else None
    return Shown(
        name, label, share, before, reference, artifact, differing, largest, not maps[1].any(),
        None if spec.outputs is None else spec.score.output,
    )  # fmt: skip
