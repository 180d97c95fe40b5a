"""A `BoxRequest` says which boxes of a detector are explained, and by what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from ..boxes.defaults import CONF, IOU, MOST_EXPLAINED
from ..boxes.detections import Detection
from ..boxes.suppress import check_share
from ..checks import check_value, short
from ..errors import InputError
from ..inputs.selection import check_name, choose_classes
from ..methods.table import METHODS
from ..spec import Spec
from ..spec.detector import TARGETS, Detector

Boxes: TypeAlias = int | Detection | Sequence[int | Detection]
EDGES = TARGETS[1:]
BOX_KEYS = ("boxes", "box_index", "why", "conf", "iou", "limit", "near_miss")
"""The keywords of a request that only detectors take."""

_CLASS_KEYS = ("region", "box", "score_weights", "augment", "over", "tokens")
_NOT_DRAWN = {
    "segment": (("mask", "masks", "segment"), "masks"),
    "pose": (("pose", "keypoint", "keypoints"), "key points"),
    "obb": (("angle", "obb"), "angles"),
}


@dataclass(frozen=True)
class BoxRequest:
    """Which boxes are explained, and by what.

    Attributes:
        conf: The smallest probability of a detection.
        iou: The largest overlap of two detections of one class.
        limit: The largest number of boxes that are explained.
        targets: What is differentiated of each box: numbers of `TARGETS`.
        boxes: Numbers of detections, or detections; None: all.
        indices: Boxes by their number in the model instead, or ranks from -1 downwards.
        classes: The classes whose boxes count; None: all.
        near_miss: Explain the best candidate if no box reaches the threshold.
    """

    conf: float = CONF
    iou: float = IOU
    limit: int = MOST_EXPLAINED
    targets: tuple[int, ...] = (0,)
    boxes: tuple[int | Detection, ...] | None = None
    indices: tuple[int, ...] | None = None
    classes: tuple[int, ...] | None = None
    near_miss: bool = False

    @property
    def only_detects(self) -> bool:
        """Whether nothing is explained."""
        return not self.limit or not self.targets or self.boxes == () or self.indices == ()


def box_request(spec: Spec, request: Mapping[str, Any]) -> BoxRequest:
    """Check the keywords that choose boxes.

    Args:
        spec: The metadata of a detector.
        request: The caller's request.

    Raises:
        InputError: A keyword is one of classifiers, or a value is out of range.
        ClassError: A class is unknown.
    """
    assert spec.detector is not None
    stray = [name for name in _CLASS_KEYS if request.get(name)]
    stray += ["top"] if request.get("top", 1) != 1 else []
    stray += ["fuse"] if request.get("fuse", "mean") != "mean" else []
    if stray:
        raise InputError(
            f"a detector explains boxes, and takes no {', '.join(stray)}; choose boxes by boxes=, "
            "conf=, limit= and classes="
        )
    limit = request.get("limit", MOST_EXPLAINED)
    check_value("limit", limit, int, least=0)
    classes, wanted = request.get("classes"), None
    if classes is not None:
        wanted = tuple(choose_classes(spec, classes, 1))
        if any(one < 0 for one in wanted):
            raise InputError(
                f"classes={short(classes)}: a detector's boxes are chosen by name or id of their "
                "class, not by rank; limit=1 takes the best box"
            )
    # An empty list of classes asks for a plain prediction, as of a classifier.
    boxes = () if wanted == () else _boxes(request.get("boxes"))
    indices = _indices(request.get("box_index"))
    if boxes is not None and indices is not None:
        raise InputError("boxes= and box_index= both name boxes; give one of them")
    return BoxRequest(
        check_share("conf", request.get("conf", CONF)),
        check_share("iou", request.get("iou", IOU)),
        limit,
        _targets(spec.detector, request.get("why", "class")),
        boxes,
        indices,
        wanted or None,
        bool(request.get("near_miss", False)),
    )


def check_method_of_boxes(method: str, detector: Detector) -> None:
    """Raise InputError if a method cannot explain boxes, with the true reason."""
    if method == "finercam":
        raise InputError(
            "method 'finercam' compares classes of one score, and boxes are different scores; "
            "use hirescam or layercam"
        )
    needs = METHODS[method].needs if method in METHODS else ()
    if "head" in needs:
        raise InputError(
            f"method '{method}' reruns the head of one layer, and a detector's boxes come from the "
            "heads of all levels together; use hirescam, layercam or rise"
        )
    if detector.has_slots and "images" in needs:
        raise InputError(
            f"method '{method}' runs changed images, and a slot of an end-to-end detector holds "
            "another box in each of them; use hirescam, layercam or another formula"
        )


def _targets(detector: Detector, why: str | Sequence[str]) -> tuple[int, ...]:
    """Return numbers of `TARGETS`; ``edges`` stands for all four of a box."""
    names = [why] if isinstance(why, str) else list(why)
    words, drawn = _NOT_DRAWN.get(detector.task, ((), ""))
    if any(name in words for name in names):
        raise InputError(
            f"why={short(why)}: boxes are explained by class and edges; {drawn} are not drawn"
        )
    spelled = [part for name in names for part in (EDGES if name == "edges" else [name])]
    choices = (*TARGETS, "edges")
    known = [check_name("reason of a box", name, choices) for name in spelled]
    return tuple(TARGETS.index(name) for name in dict.fromkeys(known))


def _boxes(given: Any) -> tuple[int | Detection, ...] | None:
    if given is None:
        return None
    listed = not isinstance(given, (int, Detection)) and hasattr(given, "__iter__")
    found = list(cast("Sequence[Any]", given)) if listed else [given]
    for one in found:
        if not isinstance(one, Detection):
            check_value("boxes", one, int)
    return tuple(one if isinstance(one, Detection) else int(one) for one in found)


def _indices(given: Any) -> tuple[int, ...] | None:
    if given is None:
        return None
    found = list(given) if hasattr(given, "__iter__") else [given]
    for one in found:
        check_value("box_index", one, int)
    return tuple(int(one) for one in found)
