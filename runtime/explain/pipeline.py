"""The steps from pictures to explanations, in order."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from ..inputs.batch import Batch, make_batch, region_input, stored_transform
from ..inputs.region import Region
from ..inputs.scores import probabilities
from ..methods.request import Answer, Progress, Question
from ..methods.table import METHODS
from ..output.explanation import Explanation
from ..output.render import map_status
from ..session.heads import Heads
from ..session.session import Session
from ..spec import Spec
from .plan import Plan
from .stream import Read

MAX_BATCH = 16


def explain_pictures(
    session: Session,
    pictures: Sequence[Read],
    regions: Sequence[Region | None],
    plan: Plan,
    heads: Heads | None = None,
    progress: Progress | None = None,
) -> list[list[Explanation]]:
    """Explain each picture by each method of a plan: a list of methods for each picture.

    Pictures run together, as many as the artifact's batch axis takes, at most `MAX_BATCH`.

    Raises:
        ImageError: A picture cannot be used, or the artifact stores no preprocessing.
        InputError: The artifact lacks what a method needs, or a region does not fit.
        SessionError: ONNX Runtime failed.
    """
    transform = stored_transform(session)
    if any(region is not None for region in regions):
        region_input(session)
    most = session.inputs[transform.input].shape[0] or MAX_BATCH
    found: list[list[Explanation]] = []
    for part in _parts(pictures, most, one_size=bool(transform.embedded)):
        names = [one.name for one in pictures[part]]
        seen = [one.picture for one in pictures[part]]
        batch = make_batch(session, transform, seen, plan.selection, regions[part])
        question = Question(session, batch.feeds, transform.input, plan.layers[0], progress, heads)
        answers = plan.answer(question, batch.width)
        found += [
            [
                _explanation(session.spec, batch, row, name, plan, method, answer)
                for method, answer in zip(plan.methods, answers, strict=True)
            ]
            for row, name in enumerate(names)
        ]
    return found


def _parts(pictures: Sequence[Read], most: int, one_size: bool) -> Generator[slice]:
    """Which pictures run together: ``most`` of them, and only of one size where that is needed."""
    start = 0
    while start < len(pictures):
        shapes = [one.picture.shape for one in pictures[start : start + most]]
        alike = [shape == shapes[0] for shape in shapes]
        # Where pictures go in as they are, one tensor holds one size.
        count = alike.index(False) if one_size and not all(alike) else len(shapes)
        yield slice(start, start + count)
        start += count


def _explanation(
    spec: Spec, batch: Batch, row: int, name: str, plan: Plan, method: str, answer: Answer
) -> Explanation:
    """What an answer says about one picture of a batch."""
    classes = [int(c) for c in answer.classes[row]]
    labels = plan.rows or spec.labels
    has_sign = METHODS[method].is_signed(plan.methods[method])
    return Explanation(
        image=batch.pictures[row],
        name=name,
        output=answer.output[row],
        probabilities=probabilities(spec.score, answer.output[row]),
        classes=classes,
        labels=[str(c) if labels is None else labels[c] for c in classes],
        scores=answer.scores[row],
        maps=answer.maps[row],
        status=[map_status(raw, has_sign) for raw in answer.maps[row]],
        layer=plan.layer_names,
        method=method,
        placement=batch.places[row],
        region=None if batch.weights is None else batch.weights[row],
        measures={name: values[row] for name, values in answer.measures.items()},
        signed=has_sign,
        augment=plan.augment,
    )
