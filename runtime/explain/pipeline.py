"""`explain_images` does the steps from images to explanations, in order."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from ..inputs.batch import make_batch
from ..inputs.images import LoadedImage
from ..inputs.preprocess import Placement
from ..inputs.region import Weights, cut, per_image
from ..inputs.scores import probabilities
from ..methods.method_io import MethodOutput
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
    session, transform = plan.session, plan.transform
    regions = [
        cut(region, plan.box, image.pixels.shape[:2])
        for region, image in zip(per_image(plan.region, len(images)), images, strict=True)
    ]
    most = session.inputs[transform.input].shape[0] or MAX_BATCH
    found: list[list[Explanation]] = []
    for part in _parts(images, most, one_size=bool(transform.embedded)):
        pixels = [one.pixels for one in images[part]]
        feeds, places, weights = make_batch(
            session, transform, pixels, plan.selection, regions[part]
        )
        outputs = plan.run(feeds)
        for row, (image, place) in enumerate(zip(images[part], places, strict=True)):
            region = None if weights is None else weights[row]
            found.append([
                _explanation(plan, method, output, row, image, place, region)
                for method, output in zip(plan.methods, outputs, strict=True)
            ])  # fmt: skip
    return found


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


def _explanation(
    plan: Plan,
    method: str,
    output: MethodOutput,
    row: int,
    image: LoadedImage,
    placement: Placement,
    region: Weights | None,
) -> Explanation:
    """Make the explanation of the image in a ``row`` of a method's output."""
    spec, classes = plan.session.spec, [int(c) for c in output.classes[row]]
    labels = plan.rows or spec.labels
    has_sign = METHODS[method].is_signed(plan.methods[method])
    return Explanation(
        image=image.pixels,
        name=image.name,
        output=output.model_output[row],
        probabilities=probabilities(spec.score, output.model_output[row]),
        classes=classes,
        labels=[str(c) if labels is None else labels[c] for c in classes],
        scores=output.scores[row],
        maps=output.maps[row],
        status=[map_status(raw, has_sign) for raw in output.maps[row]],
        layer=plan.layer_names,
        method=method,
        placement=placement,
        region=region,
        measures={name: values[row] for name, values in output.measures.items()},
        signed=has_sign,
        augment=plan.augment,
    )
