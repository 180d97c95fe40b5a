"""A `Request` is what a caller can ask for: the keywords of all methods of `Explainer`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from ..checks import check_keywords, check_value, short, types_of
from ..errors import InputError
from ..inputs.examples import Inputs
from ..inputs.prompts import BankFile, PromptNames
from ..inputs.region import Region
from ..inputs.score_weights import ScoreWeights
from ..inputs.selection import Classes
from ..inputs.token_table import Tokens
from ..methods.fusion import Fuse
from ..methods.method_io import Progress
from ..methods.table import METHODS
from .box_request import Boxes


class Request(TypedDict, total=False):
    """What to explain, and how: the keywords of `Explainer`'s methods. All are optional.

    Attributes:
        classes: A class id, a label, or a list of them; an empty list only predicts. None: the
            ``top`` best-ranked classes of each image. Detectors: the classes whose boxes count.
        top: Number of best-ranked classes, if ``classes`` is None. Default: 1.
        output: For an artifact that explains several outputs: the name of the one that classes and
            ``top`` are about; None: the first.
        method: The id of a method in docs/methods.md. Default: that of the maps which the artifact
             computes itself, ``gradcam``, of detectors ``hirescam``.
        options: The method's own options by name, such as ``{"samples": 50}``; see
            docs/methods.md. If there are several methods, each gets the options that it takes.
        layer: A target layer of the artifact, or a list of layers whose maps are fused; None: the
            first layer, of detectors all levels, whose maps are summed.
        fuse: How the maps of several layers, each divided by its maximum, become one: ``mean``
            (the default), ``max``, ``product`` or ``refine``; see `fusion.fuse_maps`.
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
        prompts: For an artifact with a similarity score, instead of classes: the texts to explain,
            names of its own bank or of ``bank``. None: the ``top`` best.
        bank: For such an artifact without a bank of its own: the embeddings of texts, a
            `runtime.inputs.bank.Bank` or the file that `graftcam prompts` wrote.
        inputs: Values of the model's further inputs by name, beside the image: arrays or numbers as
            the model takes them (the batch axis may be left out), images for an input like the
            first, or files; see `inputs.examples.ExampleReader.read`. For a batch, an array with
            a row for each example, or a list with a value for each.
        over: The input that the maps are drawn over, if the model has several such as two images;
            None: the one that the layer looks at.
        tokens: For models of token ids: the texts of the ids, as a list, as ids by text, or in a
            file (``vocab.txt``, ``vocab.json``); or a list with a text for each position.
        boxes: Detectors: the boxes to explain, as their numbers in `Explainer.detect`'s list, from
            1, or as its entries; None: all of them.
        box_index: Detectors, instead: boxes by their number in the model's own tables (anchor,
            query or slot), or by rank from -1 downwards, before suppression.
        why: Detectors: what is explained of a box: its ``class``, one of its edges ``left``,
            ``top``, ``right`` and ``bottom``, ``edges`` for all four, or a list. Default: class.
        conf: Detectors: the smallest probability of a detection. Default: 0.25.
        iou: Detectors: two boxes of one class that overlap more than this (intersection over
            union) count as one. Default: 0.45.
        limit: Detectors: the largest number of boxes that are explained. Default: 16.
        near_miss: Detectors: if no box reaches ``conf``, explain the best candidate.
        progress: Methods that run the artifact many times call it with the number of finished runs
            and of all runs; the count begins again for each method and each batch.
    """

    classes: Classes
    top: int
    output: str | None
    method: str
    options: Mapping[str, Any] | None
    layer: str | Sequence[str] | None
    fuse: Fuse
    augment: bool | str | Sequence[str]
    region: Region | Sequence[Region | None] | None
    box: Sequence[int] | None
    score_weights: ScoreWeights | None
    prompts: PromptNames | None
    bank: BankFile | None
    inputs: Inputs | None
    over: str | None
    tokens: Tokens | None
    boxes: Boxes | None
    box_index: int | Sequence[int] | None
    why: str | Sequence[str]
    conf: float
    iou: float
    limit: int
    near_miss: bool
    progress: Progress | None


_TYPED = (
    "top", "output", "options", "layer", "augment", "box", "prompts", "over", "why", "near_miss",
    "progress",
)  # fmt: skip
_CLASSES = ("target", "targets", "label", "labels", "class_id", "class_ids", "class_index")


def check_request(request: Mapping[str, object]) -> None:
    """Check the names of a request's keywords, and the types of those that nothing else checks.

    Raises:
        TypeError: A keyword is unknown; the message names the remedy.
        InputError: A value has another type.
    """
    hints = types_of(Request)
    options = {name for method in METHODS.values() for name in method.options}
    together = "options of a method go together: options="
    remedies = {
        **dict.fromkeys(_CLASSES, "did you mean 'classes'?"),
        **{n: f'{together}{{"{n}": {short(v)}}}' for n, v in request.items() if n in options},
    }
    check_keywords("a request", request, hints, remedies)
    inputs = request.get("inputs")
    if inputs is not None and not isinstance(inputs, Mapping):
        raise InputError(f"inputs={short(inputs)}: give values by name, such as {{'age': [42]}}")
    for name in _TYPED:
        if name in request:
            check_value(name, request[name], hints[name])
