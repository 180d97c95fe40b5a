"""`explain_images` does the steps from images to explanations, in order."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from ..inputs.batch import make_batch
from ..inputs.images import LoadedImage
from ..inputs.region import Region, cut, per_image
from ..inputs.scores import probabilities
from ..methods.table import METHODS
from ..output.explanation import Explanation
from ..output.render import map_status
from .plan import Plan

MAX_BATCH = 16


def explain_images(plan: Plan, images: Sequence[LoadedImage]) -> list[list[Explanation]]:
    """Explain each image by each method of a plan: a list of methods for each image.

    Images run together, as many as the artifact's batch axis takes, at most `MAX_BATCH`.

    Raises:
        ImageError: An image cannot be used.
        InputError: The artifact lacks what a method needs, or a region does not fit.
        SessionError: ONNX Runtime failed.
    """
    regions = [
        cut(region, plan.box, image.pixels.shape[:2])
        for region, image in zip(per_image(plan.region, len(images)), images, strict=True)
    ]
    most = plan.session.inputs[plan.transform.input].shape[0] or MAX_BATCH
    parts = _parts(images, most, one_size=bool(plan.transform.embedded))
    return [row for part in parts for row in _explain_batch(plan, images[part], regions[part])]


def _parts(images: Sequence[LoadedImage], most: int, one_size: bool) -> Generator[slice]:
    """Yield the images that run together: at most ``most``, and of one size if ``one_size``."""
    start = 0
    while start < len(images):
        shapes = [one.pixels.shape for one in images[start : start + most]]
        alike = [shape == shapes[0] for shape in shapes]
        # A graph with embedded preprocessing takes raw images in one tensor, hence of one size.
        count = alike.index(False) if one_size and not all(alike) else len(shapes)
        yield slice(start, start + count)
        start += count


def _explain_batch(
    plan: Plan, images: Sequence[LoadedImage], regions: Sequence[Region | None]
) -> list[list[Explanation]]:
    """Explain images that run together."""
    spec, pixels = plan.session.spec, [image.pixels for image in images]
    feeds, places, weights = make_batch(
        plan.session, plan.transform, pixels, plan.selection, regions
    )
    labels, layer = plan.rows or spec.labels, ", ".join(layer.name for layer in plan.layers)
    layer = layer if len(plan.layers) == 1 else f"{plan.fuse} of {layer}"
    found: list[list[Explanation]] = [[] for _ in images]
    for (method, options), output in zip(plan.methods.items(), plan.run(feeds), strict=True):
        signed = METHODS[method].is_signed(options)
        for row, image in enumerate(images):
            classes = [int(c) for c in output.classes[row]]
            explanation = Explanation(
                image=image.pixels,
                name=image.name,
                output=output.model_output[row],
                probabilities=probabilities(spec.score, output.model_output[row]),
                classes=classes,
                labels=[str(c) if labels is None else labels[c] for c in classes],
                scores=output.scores[row],
                maps=output.maps[row],
                status=[map_status(raw, signed) for raw in output.maps[row]],
                layer=layer,
                method=method,
                placement=places[row],
                region=None if weights is None else weights[row],
                measures={name: values[row] for name, values in output.measures.items()},
                signed=signed,
                augment=plan.augment,
            )
            found[row].append(explanation)
    return found
