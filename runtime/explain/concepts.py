"""`find_concepts` factorises a layer's activations, and says what each concept does for classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..checks import check_value
from ..errors import InputError
from ..inputs.batch import make_batch
from ..inputs.examples import Example
from ..inputs.names import Names
from ..methods.factorise import Factors, factorise
from ..output.concepts import Concepts, ImageConcepts
from .batches import MAX_BATCH, parts_of
from .pipeline import along_input
from .plan import Plan
from .view_of_example import view_of_example

TOP = 3  # classes of each image that concepts are measured by, if there are as many
_CLIP = "take negative values for 0 with clip=True (--clip)"


@dataclass(frozen=True)
class _Seen:
    """What the artifact gives for some images, all with the same grid.

    Attributes:
        activations: [N, C, *space].
        gradients: [N, K, C, *space].
        classes: int64 [N, K].
        scores: [N, K].
    """

    activations: NDArray[np.float32]
    gradients: NDArray[np.float32]
    classes: NDArray[np.int64]
    scores: NDArray[np.float32]


def find_concepts(
    plan: Plan, examples: Sequence[Example], components: int, *, clip: bool
) -> Concepts:
    """Factorise the activations of all examples together (Collins et al. 2018).

    Args:
        plan: The classes and the layer, of a model that is no detector.
        examples: The images.
        components: The number of concepts.
        clip: Take negative activations for 0.

    Raises:
        InputError: The layer has negative activations and ``clip`` is not set, or none but 0, or
            some that are not finite; or there are fewer places or channels than concepts.
    """
    check_value("components", components, int, least=1)
    check_value("clip", clip, bool)
    layer = plan.layers[0]
    seen = _run(plan, examples)
    count, channels, *space = seen.activations.shape
    rows = np.moveaxis(seen.activations, 1, -1).reshape(-1, channels)
    rows, clipped = _from_zero_on(rows, layer.name, clip=clip)
    most = min(rows.shape)
    if components > most:
        raise InputError(
            f"components={components}: layer '{layer.name}' has {rows.shape[0]} places and "
            f"{channels} channels here; give {most} or fewer"
        )
    factors = factorise(rows, components)
    strengths = factors.strengths.reshape(count, -1, components)
    maps = np.moveaxis(strengths.reshape(count, *space, components), -1, 1).astype(np.float32)
    effects = _effects(factors, strengths, seen.gradients)
    labels, names = plan.session.spec.labels, Names()
    laid = along_input(plan.layers[0], maps)
    images: list[ImageConcepts] = []
    for row, example in enumerate(examples):
        classes = [int(number) for number in seen.classes[row]]
        view = view_of_example(plan, example, plan.reader.main, laid.shape[2:])
        images.append(
            ImageConcepts(
                names.distinct(example.name), view, laid[row], classes,
                [str(c) if labels is None else labels[c] for c in classes], seen.scores[row],
                effects[row],
            )
        )  # fmt: skip
    files = [file for example in examples for file in example.files]
    return Concepts(
        images, factors.concepts.astype(np.float32), [float(one) for one in factors.shares],
        factors.error, layer.name, clipped, (*plan.files, *files),
    )  # fmt: skip


def _run(plan: Plan, examples: Sequence[Example]) -> _Seen:
    """Run all examples, as many at once as the artifact takes."""
    session, spec, layer = plan.session, plan.session.spec, plan.layers[0]
    most = session.inputs[plan.reader.main].shape[0] or MAX_BATCH
    names = [layer.activations, layer.gradients, spec.classes or "", spec.scores]
    parts: list[list[NDArray[np.float32]]] = []
    for part in parts_of(examples, most):
        batch = examples[part]
        feeds, _ = make_batch(session, plan.reader.main, batch, plan.selection, [None] * len(batch))
        got = session.run(feeds, names)
        parts.append([got[name][: len(batch)] for name in names])
    grids = {tuple(part[0].shape[1:]) for part in parts}
    if len(grids) > 1:
        shapes = ", ".join(str(list(one)) for one in sorted(grids))
        raise InputError(
            f"layer '{layer.name}' gives {shapes} for images of different sizes; give images of "
            "one size"
        )
    return _Seen(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _from_zero_on(
    rows: NDArray[np.float32], layer: str, *, clip: bool
) -> tuple[NDArray[np.float32], float]:
    """Rows without negative values, and the share of the magnitude that was negative."""
    if not np.isfinite(rows).all():
        raise InputError(f"layer '{layer}' has activations that are not finite; choose another one")
    least, size = float(rows.min()), float(np.abs(rows).sum(dtype=np.float64))
    if least < 0 and not clip:
        raise InputError(
            f"layer '{layer}' has activations down to {least:.2g}, and concepts are sums without "
            f"negative parts; choose a layer behind a ReLU, or {_CLIP}"
        )
    kept = np.maximum(rows, 0)
    if not kept.any():
        raise InputError(
            f"layer '{layer}' has no activation above 0 on these images; choose another one"
        )
    return kept, 1 - float(kept.sum(dtype=np.float64)) / size


def _effects(
    factors: Factors, strengths: NDArray[np.float64], gradients: NDArray[np.float32]
) -> NDArray[np.float32]:
    """What each concept adds to each score, to first order, float32 [N, concepts, K].

    Behind a mean over space and a linear layer the sum over the concepts is the score less the
    bias, as far as the concepts are the activations.
    """
    flat = gradients.reshape(*gradients.shape[:3], -1)
    slopes = np.einsum("nkcp,rc->nkrp", flat, factors.concepts, optimize=True)
    return np.einsum("nkrp,npr->nrk", slopes, strengths, optimize=True).astype(np.float32)
