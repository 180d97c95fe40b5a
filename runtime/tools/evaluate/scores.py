"""`score` computes all measures of all candidates for some photographs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...output.render import Status
from .explainers import Explainers, Maps
from .measures.faithful import infidelity
from .measures.masking import adcc, as_mask, average_drop, increase, masked_confidences, sparseness
from .measures.removal import area, curves, distinct, ranks_of, road
from .measures.stability import class_sensitivity, sensitivity
from .randomise.randomisation import randomisation, randomisation_entropy
from .settings import Tuning
from .subjects import Subjects

Values = NDArray[np.float64]
Floats = NDArray[np.float32]


@dataclass
class Scored:
    """What M candidates are worth for N photographs.

    Attributes:
        confidence: Of the unchanged photographs, [N].
        status: Of each map, [M][N].
        values: By measure, [M, N]; NaN where a map is not finite.
        curves: Of insertion and deletion, [M, N, steps + 1].
    """

    confidence: Floats
    status: list[list[Status]]
    values: dict[str, Values] = field(default_factory=dict[str, Values])
    curves: dict[str, Values] = field(default_factory=dict[str, Values])

    def add(self, values: Mapping[str, Values], order: Sequence[str]) -> None:
        """Add further measures, in the order of all; a map that is not finite has no value."""
        broken = np.array([[one == "nonfinite" for one in row] for row in self.status])
        found = {**self.values, **values}
        self.values = {
            name: np.where(broken, np.nan, found[name]) for name in order if name in found
        }


def score(
    subjects: Subjects,
    explainers: Explainers,
    maps: list[Maps],
    measures: list[str],
    tuning: Tuning,
    others: NDArray[np.int64],
    shuffled: Callable[[], Iterable[Subjects]],
) -> Scored:
    """Compute the measures.

    Args:
        subjects: The photographs.
        explainers: The candidates.
        maps: Their maps of these photographs.
        measures: Ids; those of places are ignored.
        tuning: Numbers of the measures.
        others: The least likely class of each photograph, [N].
        shuffled: Gives the same photographs for the model with more and more shuffled weights.

    Raises:
        InputError: The artifact lacks what a method needs.
        SessionError: ONNX Runtime failed.
    """
    whole = [one.whole for one in maps]
    found = Scored(subjects.confidence, [one.status for one in maps])
    values = found.values
    _remove(subjects, whole, measures, tuning, found)
    _mask(subjects, explainers, whole, measures, found)

    def again(changed: Subjects) -> list[Floats]:
        return [one.whole for one in explainers.maps(changed)]

    if "infidelity" in measures:
        values["infidelity"] = infidelity(subjects, whole, tuning)
    if "sensitivity" in measures:
        values["sensitivity"] = sensitivity(subjects, whole, again, tuning)
    if "sparseness" in measures:
        values["sparseness"] = np.stack([sparseness(one) for one in whole])
    if "class-sensitivity" in measures:
        values["class-sensitivity"] = class_sensitivity(subjects, whole, again, others)
    if {"randomisation", "randomisation-entropy"} & {*measures}:
        stages = [
            explainers.maps(changed, draw) for draw, changed in enumerate(shuffled(), start=1)
        ]
        _randomise(maps, stages, values)
    found.add({}, measures)
    return found


def _randomise(maps: list[Maps], stages: list[list[Maps]], values: dict[str, Values]) -> None:
    """Compare maps with those of each stage of shuffled weights."""
    pairs = [
        [
            (own.raw[n], [stage[number].raw[n] for stage in stages])
            for n in range(len(own.raw))
        ]
        for number, own in enumerate(maps)
    ]  # fmt: skip
    values["randomisation"] = np.array(
        [[randomisation(intact, others) for intact, others in row] for row in pairs]
    )
    values["randomisation-entropy"] = np.array(
        [[randomisation_entropy(intact, others[-1]) for intact, others in row] for row in pairs]
    )


def _remove(
    subjects: Subjects, maps: list[Floats], measures: list[str], tuning: Tuning, found: Scored
) -> None:
    """Compute insertion, deletion and ROAD, once for maps that rank places alike."""
    which = [name for name in ("insertion", "deletion") if name in measures]
    if not which and "road" not in measures:
        return
    different, places = distinct(maps)
    ranks = [ranks_of(maps[number], tuning.seed) for number in different]
    for name, curve in (curves(subjects, ranks, tuning, which) if which else {}).items():
        found.curves[name] = curve[places]
        found.values[name] = area(curve)[places]
    if "road" in measures:
        found.values["road"] = road(subjects, ranks, tuning)[places]


def _mask(
    subjects: Subjects,
    explainers: Explainers,
    maps: list[Floats],
    measures: list[str],
    found: Scored,
) -> None:
    """Compute average drop, increase and ADCC, from one run under each mask."""
    if not {"average-drop", "increase", "adcc"} & {*measures}:
        return
    masks, before = [as_mask(one) for one in maps], subjects.confidence
    after = masked_confidences(subjects, masks)
    drops = average_drop(before, after)
    found.values |= {"average-drop": drops, "increase": increase(before, after)}
    if "adcc" in measures:
        found.values["adcc"] = adcc(
            subjects, masks, lambda number, other: explainers.of(number, other).whole, drops
        )
