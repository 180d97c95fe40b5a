"""A `Subject` is one model that others trained; its `Truth` is what a person who knows it expects.

The truth is data beside each model. The program compares it with what graftcam did
(`benchmarks.field.judge`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .packages import Package

Places = tuple[int | None, ...]
Feeds = Mapping[str, Any]


@dataclass(frozen=True)
class Truth:
    """What a right explanation of a model is, and which refusals are true.

    Attributes:
        why: The reason in one line, from the model's own documentation or graph.
        outputs: Outputs that are class scores, by name, or by position for a module. Empty: the
            model has none, and every artifact misleads.
        classes: Number of classes of each of these outputs; 0 for any. A single logit has 2.
        activation: The function that the scored outputs end in; "" if they are logits or marks.
        axis: The axis of the classes in those outputs.
        offsets: How many entries of that axis may be skipped before the first class.
        places: For each number of axes that a map may have, the axis of the first input that each
            map axis follows; None for an axis that the input does not have (the frequencies of a
            waveform).
        refusals: Patterns of messages that are true. Empty: only an explanation is right.
        boxes: Number of classes of a detector, whose boxes are explained; 0 for other models.
    """

    why: str
    outputs: tuple[str | int, ...] = ()
    classes: tuple[int, ...] = ()
    activation: str = ""
    axis: int = 1
    offsets: tuple[int, ...] = (0,)
    places: tuple[Places, ...] = ()
    refusals: tuple[str, ...] = ()
    boxes: int = 0


@dataclass(frozen=True)
class Subject:
    """One trained model.

    Attributes:
        key: Its name in the table.
        task: What it was trained for.
        package: Where its weights are.
        file: The file with the weights, inside the package.
        truth: What is expected.
        feeds: Makes the input of the check, by input name, one image or one sound.
        build: For a model that is no ONNX file: makes the module and its example inputs.
        code: Further packages that bring the architecture's code.
        kinds: The kinds of the issue that the model belongs to.
        box: Where the explained object is in the picture: top, left, bottom, right as shares of
            the input; None if there is no single one.
        top: Ids of the class that the picture shows; the check then explains a seen object.
    """

    key: str
    task: str
    package: Package
    file: str
    truth: Truth
    feeds: Callable[[], Feeds]
    build: Callable[..., tuple[Any, tuple[Any, ...]]] | None = None
    code: tuple[Package, ...] = ()
    kinds: tuple[int, ...] = ()
    box: tuple[float, float, float, float] | None = None
    top: frozenset[int] = field(default_factory=frozenset[int])
