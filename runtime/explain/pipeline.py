"""`explain_images` does the steps from images to explanations, in order."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from ..inputs.batch import Batch, make_batch, stored_transform
from ..inputs.images import LoadedImage
from ..inputs.region import cut, per_image
from ..inputs.scores import probabilities
from ..methods.method_io import MethodInput, MethodOutput
from ..methods.table import METHODS
from ..output.explanation import Explanation
from ..output.render import map_status
from ..session.heads import Heads
from ..session.session import Session
from ..spec import Spec
from .plan import Plan

MAX_BATCH = 16


def explain_images(
    session: Session, heads: Heads, plan: Plan, images: Sequence[LoadedImage]
) -> list[list[Explanation]]:
    """Explain each image by each method of a plan: a list of methods for each image.

    Images run together, as many as the artifact's batch axis takes, at most `MAX_BATCH`.

    Raises:
        ImageError: An image cannot be used, or the artifact stores no preprocessing.
        InputError: The artifact lacks what a method needs, or a region does not fit.
        SessionError: ONNX Runtime failed.
    """
    transform, layer = stored_transform(session), plan.layers[0]
    regions = [
        cut(region, plan.box, image.pixels.shape[:2])
        for region, image in zip(per_image(plan.region, len(images)), images, strict=True)
    ]
    most = session.inputs[transform.input].shape[0] or MAX_BATCH
    found: list[list[Explanation]] = []
    for part in _parts(images, most, one_size=bool(transform.embedded)):
        pixels = [one.pixels for one in images[part]]
        batch = make_batch(session, transform, pixels, plan.selection, regions[part])
        given = MethodInput(session, batch.feeds, transform.input, layer, plan.progress, heads)
        outputs = plan.run(given, batch.width)
        found += [
            [
                _explanation(session.spec, batch, row, one.name, plan, method, output)
                for method, output in zip(plan.methods, outputs, strict=True)
            ]
            for row, one in enumerate(images[part])
        ]
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
    spec: Spec, batch: Batch, row: int, name: str, plan: Plan, method: str, output: MethodOutput
) -> Explanation:
    """Make the explanation of one image of a batch from a method's output."""
    classes = [int(c) for c in output.classes[row]]
    labels = plan.rows or spec.labels
    has_sign = METHODS[method].is_signed(plan.methods[method])
    return Explanation(
        image=batch.images[row],
        name=name,
        output=output.model_output[row],
        probabilities=probabilities(spec.score, output.model_output[row]),
        classes=classes,
        labels=[str(c) if labels is None else labels[c] for c in classes],
        scores=output.scores[row],
        maps=output.maps[row],
        status=[map_status(raw, has_sign) for raw in output.maps[row]],
        layer=plan.layer_names,
        method=method,
        placement=batch.places[row],
        region=None if batch.weights is None else batch.weights[row],
        measures={name: values[row] for name, values in output.measures.items()},
        signed=has_sign,
        augment=plan.augment,
    )
