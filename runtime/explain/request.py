"""A `Request` is what a caller can ask for: the keywords of all methods of `Explainer`."""

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
    """What to explain, and how: the keywords of `Explainer`'s methods. All are optional.

    Attributes:
        classes: A class id, a label, or a list of them; an empty list only predicts. None: the
            ``top`` best-ranked classes of each image.
        top: Number of best-ranked classes, if ``classes`` is None. Default: 1.
        method: The id of a method in docs/methods.md. Default: ``gradcam``, whose maps the
            artifact computes itself.
        options: The method's own options by name, such as ``{"samples": 50}``; see
            docs/methods.md. If there are several methods, each gets the options that it takes.
        layer: A target layer of the artifact, or a list of layers whose maps are fused; None: the
            first layer.
        fuse: How the maps of several layers, each divided by its maximum, become one: ``mean``
            (the default), ``max`` or ``product``.
        augment: Average the maps over changed copies of the image: ``flip`` (left to right),
            ``scale`` (normalised values times 0.9, 1 and 1.1), a list of these, or True for both,
            which takes six runs. Scores and classes are those of the plain image.
        region: For a model whose output has positions (segmentation): the positions that the
            score is summed over; None: all. Either a mask [H, W] of the image's size, to which the
            model's resize and crop are applied, or a mask of the output's size, or a file with a
            mask, in which every pixel that is not black counts. True and integers other than 0
            have weight 1; floats are weights. For a batch, a list has one region for each image.
        box: A region by its corners, ``(x0, y0, x1, y1)`` in pixels of the image; x1 and y1 are
            exclusive. With ``region``: the part of the region inside the box.
        score_weights: For an artifact with a linear score, instead of classes: the weights of its
            output, numbers [K, *output] or [*output], arrays [*output] by name, or a file that
            ``numpy.save`` wrote.
        progress: Methods that run the artifact many times call it with the number of finished runs
            and of all runs; the count begins again for each method and each batch.
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
