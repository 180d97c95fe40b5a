"""`MEASURES` lists what maps are scored by: which way is better, what it needs, its paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ...errors import InputError
from ...inputs.selection import check_name

Better: TypeAlias = Literal["higher", "lower"]
Needs: TypeAlias = Literal["boxes", "masks", "weights", ""]


@dataclass(frozen=True)
class Measure:
    """A measure of maps.

    Attributes:
        better: Whether a good map has a high or a low value.
        what: What it measures, in a few words.
        source: Its paper.
        needs: What it needs beside artifact and photographs: ``boxes`` (or masks) that people drew,
            ``masks``, or ``weights`` that can be shuffled.
        bounds: The least and the largest value; None: without bound.
    """

    better: Better
    what: str
    source: str
    needs: Needs = ""
    bounds: tuple[float | None, float | None] = (0.0, 1.0)

    @property
    def sign(self) -> int:
        """1 if higher is better, else -1."""
        return 1 if self.better == "higher" else -1


MEASURES: dict[str, Measure] = {
    "insertion": Measure(
        "higher", "confidence as the brightest places appear", "Petsiuk et al. 2018, 1806.07421"
    ),
    "deletion": Measure(
        "lower", "confidence as the brightest places vanish", "Petsiuk et al. 2018, 1806.07421"
    ),
    "road": Measure(
        "higher", "what the bright places matter more than the dark ones, under imputation",
        "Rong et al. 2022, 2202.00449", bounds=(-1.0, 1.0),
    ),
    "average-drop": Measure(
        "lower", "share of the confidence lost under the map as a mask",
        "Chattopadhay et al. 2018, 1710.11063",
    ),
    "increase": Measure(
        "higher", "how often the mask raises the confidence", "Chattopadhay et al. 2018, 1710.11063"
    ),
    "adcc": Measure(
        "higher", "harmonic mean of kept confidence, coherency and brevity",
        "Poppi et al. 2021, 2104.10252",
    ),
    "infidelity": Measure(
        "lower", "what the map, as a sum, leaves unexplained of hidden squares",
        "Yeh et al. 2019, 1901.09392",
    ),
    "sensitivity": Measure(
        "lower", "the largest change of the map under little noise",
        "Yeh et al. 2019, 1901.09392", bounds=(0.0, None),
    ),
    "sparseness": Measure(
        "higher", "Gini index: 1 if one place has all evidence", "Chalasani et al. 2020, 1810.06583"
    ),
    "class-sensitivity": Measure(
        "lower", "correlation with the map of the least likely class",
        "Rebuffi et al. 2020, 2004.02866", bounds=(-1.0, 1.0),
    ),
    "randomisation": Measure(
        "lower", "rank correlation with the maps of shuffled weights",
        "Adebayo et al. 2018, 1810.03292", "weights", (-1.0, 1.0),
    ),
    "randomisation-entropy": Measure(
        "higher", "how much less orderly the map of shuffled weights is",
        "Hedström et al. 2024, 2405.02383", "weights", (None, None),
    ),
    "pointing": Measure(
        "higher", "whether the maximum lies on the object", "Zhang et al. 2016, 1608.00507", "boxes"
    ),
    "energy": Measure(
        "higher", "share of the evidence in the boxes", "Wang et al. 2020, 1910.01279", "boxes"
    ),
    "weighting": Measure(
        "higher", "share of the evidence in the masks",
        "Raatikainen and Rahtu 2022, 2208.06175", "masks",
    ),
    "iou": Measure(
        "higher", "overlap of the brighter half of the scale with the object",
        "intersection over union", "boxes",
    ),
    "rank": Measure(
        "higher", "share of the brightest places, as many as the object has, that lie on it",
        "Arras et al. 2022, 2003.07258", "boxes",
    ),
}  # fmt: skip
"""Every measure by its id, in the order of tables."""

ALL = "all"
DEFAULT = ("insertion", "deletion", "road", "average-drop", "increase", "sparseness")


def choose_measures(names: Iterable[str], found: Sequence[Needs]) -> list[str]:
    """Return the ids of the chosen measures, in the order of `MEASURES`.

    Args:
        names: Ids; ``all`` stands for those whose needs are met; none: a default, with the measures
            of boxes and masks if there are such.
        found: What is there of what measures need.

    Raises:
        InputError: One is unknown, or what it needs is not there.
    """
    names, there = list(dict.fromkeys(names)), {"", *found}
    for name in names:
        check_name("measure", name, [*MEASURES, ALL])
    possible = [name for name, one in MEASURES.items() if one.needs in there]
    if not names:
        drawn = [name for name in possible if MEASURES[name].needs in ("boxes", "masks")]
        names = [*DEFAULT, *drawn]
    if ALL in names:
        names += possible
    for name in names:
        needs = "" if name == ALL else MEASURES[name].needs
        if needs not in there:
            raise InputError(f"measure '{name}' {_LACKING[needs]}")
    return [name for name in MEASURES if name in names]


_LACKING: dict[str, str] = {
    "boxes": "compares maps with boxes or masks, and none are given; name them: --truth "
             "instances.json, or a folder of VOC, YOLO or mask files",
    "masks": "compares maps with masks, and none are given; name them: --truth with a folder of "
             "mask images, or COCO's or YOLO's polygons",
    "weights": "shuffles weights, and the artifact has none that can be shuffled with their "
               "gradients; leave the measure out",
}  # fmt: skip
