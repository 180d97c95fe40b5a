"""What a caller asks about images, by whichever way: one record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypedDict

from ..inputs.region import Region
from ..inputs.score_weights import ScoreWeights
from ..inputs.selection import Classes
from ..methods.method_io import Progress
from .fuse_layers import Fuse


class Request(TypedDict, total=False):
    """What to explain, and how: the keywords of `Explainer`'s methods. Each may be left out.

    Attributes:
        classes: A class id, a label, or a list of them; an empty list only predicts. None: the
            ``top`` best-ranked classes of each image.
        top: How many of the best-ranked classes, where ``classes`` is None. Default: 1.
        method: How the maps are made: an id of docs/methods.md. Default: ``gradcam``, which is in
            the artifact.
        options: The method's own options by name, such as ``{"samples": 50}``; see
            docs/methods.md. Of several methods each takes those that it knows.
        layer: A target layer of the artifact, or a list of them whose maps are fused; None: its
            first.
        fuse: How the maps of several layers become one, each divided by its maximum before:
            ``mean`` (the default), ``max`` or ``product``.
        augment: Average the maps over changed copies of the image: ``flip`` (left to right),
            ``scale`` (normalised values times 0.9, 1 and 1.1), a list of these, or True for both,
            which takes six runs. Scores and classes are those of the plain image.
        region: Of a model whose output has positions (segmentation): those that the score is the
            sum over; None: all. A mask [H, W] of the image's size, which then goes through the
            same resize and crop, or of the output's size; True or any number but 0 counts once,
            floats are weights. Or a mask's file, in which all but black counts. For a batch, a
            list gives each image its own.
        box: A region by its corners, ``(x0, y0, x1, y1)`` in pixels of the image, the right and
            lower ends open. With ``region``, the part of the region inside the box.
        score_weights: Of an artifact with a linear score, and instead of classes: the weights of
            its output, numbers [K, *output] or [*output], such arrays [*output] by name, or a file
            that ``numpy.save`` wrote.
        progress: Called with how many of how many runs are done, by methods that run the artifact
            many times; counts anew for each method and each batch.
    """

    classes: Classes
    top: int
    method: str
    options: Mapping[str, Any]
    layer: str | Sequence[str] | None
    fuse: Fuse
    augment: bool | str | Sequence[str]
    region: Region | Sequence[Region | None] | None
    box: Sequence[int] | None
    score_weights: ScoreWeights | None
    progress: Progress | None


def check_keywords(request: Mapping[str, object]) -> None:
    """Raise TypeError unless all keywords are those of `Request`; the message names the remedy."""
    names = list(Request.__annotations__)
    for name, value in request.items():
        if name in names:
            continue
        remedy = f'options of a method go together: options={{"{name}": {_short(value)}}}'
        for near in get_close_matches(name, names, n=1):
            remedy = f"did you mean '{near}'? A request takes {', '.join(names)}"
        raise TypeError(f"unknown keyword '{name}'; {remedy}")
    options = request.get("options")
    if options is not None and not isinstance(options, Mapping):
        raise TypeError(f'options is {_short(options)}; pass a mapping, such as {{"samples": 50}}')


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 40 and "\n" not in text else "..."
