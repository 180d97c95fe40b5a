"""`Answers` says what was seen in a video, in a few lines however long it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..runtime import Explanation, GraftcamError

MOST_SPANS = 1000  # that are listed of one video
_SHOWN = 8  # that people read


@dataclass
class Span:
    """Frames, one after the other, of which one class was explained.

    Attributes:
        label: The class.
        begin: The first one's time in seconds.
        end: The last one's.
        frames: Their number.
        total: The sum of the probabilities; None: the model gives none.
    """

    label: str
    begin: float
    end: float
    frames: int
    total: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON, with the mean of the probabilities."""
        mean = None if self.total is None else self.total / self.frames
        return {
            "label": self.label, "begin": round(self.begin, 3), "end": round(self.end, 3),
            "frames": self.frames, "probability": mean,
        }  # fmt: skip

    def text(self) -> str:
        """Return a line for people."""
        share = "" if self.total is None else f"  p = {self.total / self.frames:.3f}"
        return f"  {stamp(self.begin)}-{stamp(self.end)}  {self.label}{share}"


class Answers:
    """What was found, in a few lines however long the video is."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.frames = self.failed = self.left_out = 0
        self.seconds = 0.0
        self.reason = ""

    def add(self, found: Explanation, seconds: float) -> None:
        """Add a frame's first class; of a detector, the names of its boxes."""
        self.frames += 1
        self.seconds = seconds
        label, share = _best(found)
        last = self.spans[-1] if self.spans else None
        if last is not None and last.label == label:
            last.end, last.frames = seconds, last.frames + 1
            last.total = None if last.total is None or share is None else last.total + share
        elif len(self.spans) < MOST_SPANS:
            self.spans.append(Span(label, seconds, seconds, 1, share))
        else:
            self.left_out += 1

    def lines(self) -> list[str]:
        """Return a line for each span, the first of many."""
        lines = [one.text() for one in self.spans[:_SHOWN]]
        more = len(self.spans) - len(lines) + self.left_out
        return [*lines, f"  and {more} more (--json lists them)"] if more else lines

    def fail(self, error: GraftcamError) -> None:
        """Count a frame that could not be explained."""
        self.failed += 1
        self.reason = self.reason or str(error)


def stamp(seconds: float) -> str:
    """Return a time of a video as players show it, with tenths: ``1:02.5``."""
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{int(minutes)}:{rest:04.1f}"


def _best(found: Explanation) -> tuple[str, float | None]:
    from ..runtime.output.box_explanation import BoxExplanation

    if isinstance(found, BoxExplanation):
        names = [box.name for box in found.detections]
        counts = {name: names.count(name) for name in sorted(set(names))}
        return ", ".join(f"{count} {name}" for name, count in counts.items()) or "no box", None
    return (found.labels[0], found.probability(0)) if found.labels else ("", None)
