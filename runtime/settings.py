"""These records say what is explained, and with which arguments an artifact was exported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Literal, TypeVar

from .bounds import Axis, Count, Digest, Labels, Name, Positive, Range
from .records import Fault, Record

DetectorChoice = Literal[
    "dense", "end_to_end", "queries", "levels", "centres", "nms", "before_nms", "off"
]
ScoreKind = Literal[
    "logit", "output", "probability", "log_probability", "linear", "similarity", "channel"
]
Activation = Literal["softmax", "sigmoid", "none"]
Extent = TypeVar("Extent", int, int | None)
CosineScale = Annotated[float, Range(1e-6, 1e6)]
Bias = Annotated[float, Range(-1e6, 1e6)]
WEIGHTED = ("linear", "similarity")
"""Kinds of records whose scores are of numbers that the caller feeds, not of classes."""


@dataclass(frozen=True)
class Score:
    """The score to explain.

    Attributes:
        kind: ``logit``: the value before a trailing Softmax or Sigmoid; ``output``: after it;
            ``probability`` and ``log_probability``: the ``activation`` of the logits, and its
            logarithm; ``linear``: the inner product of the output, of any shape, with weights fed
            as `score_weights` (embeddings, contrasts, regression); ``similarity``: of an embedding,
            the cosine to the embedding of a text, times `scale` plus `bias` (CLIP, SigLIP);
            ``channel``: the mean of a channel of the first target layer.
        output: Name of the scored output; by default the one that looks most like class scores:
            as many classes as labels, a Softmax at its end, nothing computed from it, no
            positions. A list of names: each of these outputs can be explained, the first by
            default.
        activation: The function that converts logits to probabilities, if the graph does not show
            it: softmax by default, sigmoid for multi-label models and single logits. With ``none``
            a ``linear`` score uses the output without any activation. Of several outputs it is
            that of each.
        class_axis: The axis of the scored output that indexes the classes. The other axes, except
            the batch, are its positions. By default the labels, a Softmax or the channels of the
            last layer show it; else it is axis 1.
        class_offset: Number of entries of that axis before the first class, such as the
            coordinates of a box. By default what stands before the only part that ends in
            probabilities; else none.
        scale: Of a ``similarity`` what the cosine is multiplied with, such as 100: the exponential
            of CLIP's parameter ``logit_scale``. By default that of the module, else the bank's.
        bias: Of a ``similarity`` what is added, SigLIP's ``logit_bias``. Default: likewise, or 0.
        text_encoder: Of a ``similarity`` the ONNX file of the text encoder that belongs to the
            model, or its SHA-256: texts of other encoders are refused then. Default: the bank's.
    """

    kind: ScoreKind = "logit"
    output: Name | Sequence[Name] | None = None
    activation: Activation | None = None
    class_axis: Annotated[int, Range(-32, 31)] | None = None
    class_offset: Count | None = None
    scale: CosineScale | None = None
    bias: Bias | None = None
    text_encoder: Name | None = None

    @property
    def outputs(self) -> list[str | None]:
        """The named outputs; a single None leaves the choice open."""
        if self.output is None or isinstance(self.output, str):
            return [self.output]
        return list(self.output)

    def by_output(self) -> list[Score]:
        """Return the score of each named output."""
        make: Callable[..., Score] = partial(replace, self)
        return [make(output=output) for output in self.outputs]


@dataclass(frozen=True)
class Similarity(Record):
    """How an embedding is compared with embeddings of texts: ``scale * cosine + bias``.

    Attributes:
        embedding: The model's output with the embedding, [N, width].
        width: Its extent.
        scale: What cosines are multiplied with.
        bias: What is added; not in the JSON if it is 0.
        text_encoder: SHA-256 of the text encoder's file; not in the JSON if it is unknown.
        bank: The constant of the graph, float32 [classes, width], with the embeddings of the
            classes' texts; not in the JSON if they are fed.
        bank_sha256: SHA-256 of its numbers; likewise.
        templates: The sentences that the classes' names were put into; likewise.
    """

    embedding: Name
    width: Positive
    scale: CosineScale
    bias: Bias | None = None
    text_encoder: Digest | None = None
    bank: Name | None = None
    bank_sha256: Digest | None = None
    templates: list[str] | None = None

    def faults(self) -> Iterator[Fault]:
        """See `Record`."""
        if (self.bank is None) != (self.bank_sha256 is None):
            yield "bank_sha256", "the digest of the bank, if there is one"


@dataclass(frozen=True)
class ScoreRecord(Record):
    """The score that is differentiated.

    Attributes:
        kind: ``logit``: the value before a trailing Softmax or Sigmoid; ``output``: the output;
            ``probability``, ``log_probability``: the activation of the logits;
            ``linear``: the inner product with weights that the caller feeds; ``similarity``: the
            cosine to embeddings that the caller feeds, see `Similarity`; ``channel``: the
            weighted mean of a channel of the first target layer.
        value: The ONNX value with the scores, [N, classes] or [N, classes, *positions],
            before the activation; for ``linear`` a value of rank 2 or more, for ``similarity`` the
            embedding.
        output: The scored output: the model's, or the layer's activations, or the similarities to
            a bank.
        activation: The function that converts scores to probabilities.
        activated: Whether ``output`` is probabilities already.
        classes: Number of classes (a single-logit model has 2) or channels; for ``linear`` and
            ``similarity`` the extent of axis 1, 0 if the file leaves it open.
        single_logit: The model has one logit: class 1 is that logit, class 0 its negative.
        class_axis: The axis of the classes in ``output``; not in the JSON if it is 1.
        class_offset: Entries of that axis before the first class, such as the coordinates of a
            box; not in the JSON if there are none.
        box_axis: For detectors, whose `value` is a flat table [N, boxes * (classes + 4)] of scores
            and edges: 1 if the entries of a box lie side by side, 2 if the boxes of an entry do;
            else not in the JSON.
        similarity: How an embedding is compared with texts; also of the logits that a bank gives,
            whose kind is ``logit``. Else not in the JSON.
    """

    kind: ScoreKind
    value: Name
    output: Name
    activation: Activation
    activated: bool
    classes: Count
    single_logit: bool = False
    class_axis: Axis | None = None
    class_offset: Count | None = None
    box_axis: Annotated[int, Range(1, 2)] | None = None
    similarity: Similarity | None = None

    def faults(self) -> Iterator[Fault]:
        """See `Record`."""
        if self.single_logit and self.classes != 2:
            yield "classes", "2, those of a single logit"
        if (self.kind == "similarity") != (self.similarity is not None and not self.has_bank):
            yield "similarity", "the scale of a similarity score, and of no other without a bank"

    @property
    def has_bank(self) -> bool:
        """Whether the classes are the texts of a bank in the graph."""
        return self.similarity is not None and self.similarity.bank is not None

    def positions(self, shape: Sequence[Extent]) -> tuple[Extent, ...]:
        """Return the extents of `output` except the batch and the classes."""
        axis = self.class_axis or 1
        return tuple(extent for place, extent in enumerate(shape) if place not in (0, axis))


@dataclass(frozen=True)
class ScoredOutput:
    """One of several outputs that an artifact explains.

    Attributes:
        score: The score of its classes.
        labels: Its class names by id, or None.
    """

    score: ScoreRecord
    labels: Labels | None


@dataclass(frozen=True)
class TorchExport:
    """How PyTorch exports the model to ONNX.

    Attributes:
        opset: ONNX opset, 18 or newer.
        dynamic_batch: Leave the batch axis open.
        dynamic_size: Leave the image's height and width open, for models that take any size.
        input_names: Names for the inputs; the parameters of ``forward`` by default.
        output_names: Names for the outputs; by default the keys of a returned dict, else
            PyTorch's choice.
    """

    opset: Annotated[int, Range(18, 1000)] = 18
    dynamic_batch: bool = True
    dynamic_size: bool = False
    input_names: Sequence[Name] | None = None
    output_names: Sequence[Name] | None = None


@dataclass(frozen=True)
class Settings:
    """The arguments of `export` that no other part of the metadata contains.

    Attributes:
        score: The score to explain.
        extras: What to add beside Grad-CAM.
        layers: The target layers by name; None if the choice is automatic.
        trace: How PyTorch exports the model; None for an ONNX file.
        image_input: The model's own input that takes the image, if the preprocessing is embedded
            and the artifact has another input instead; None: the first input.
        shapes: The extents that open axes of an ONNX file's inputs were fixed at, by input (``""``:
            the first); None where an axis stays as it is. None: nothing was fixed.
        detector: The format of a detector, or ``off`` for a classifier; None: what the graph shows.
        context: Whether a detector's layers are those of its backbone instead of its heads' inputs.
    """

    score: Score
    extras: Sequence[Name]
    layers: Sequence[Name] | None = None
    trace: TorchExport | None = None
    image_input: Name | None = None
    shapes: dict[str, list[Positive | None]] | None = None
    detector: DetectorChoice | None = None
    context: bool | None = None
