"""What an export was asked for, as far as the rest of the metadata does not say it already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

ScoreKind = Literal["logit", "output", "probability", "log_probability", "linear", "channel"]
Activation = Literal["softmax", "sigmoid", "none"]


@dataclass(frozen=True)
class Score:
    """What to explain.

    Attributes:
        kind: ``logit``: the value before a trailing Softmax or Sigmoid; ``output``: after it;
            ``probability`` and ``log_probability``: what ``activation`` makes of the logits;
            ``linear``: the inner product of the output, of any shape, with weights fed as
            `score_weights` (embeddings, contrasts, regression); ``channel``: the mean of a channel
            of the first target layer.
        output: Name of the scored output; by default the first of shape [batch, classes], else
            the first of shape [batch, classes, *positions].
        activation: What turns logits into probabilities, if not visible in the graph: softmax
            by default, sigmoid for multi-label models and single logits. With ``none`` a
            ``linear`` score takes the output as it is.
        class_axis: The axis of the scored output that the classes lie along; the others but the
            first are its positions.
        class_offset: Entries of that axis before the first class, such as a box's coordinates.
    """

    kind: ScoreKind = "logit"
    output: str | None = None
    activation: Activation | None = None
    class_axis: int = 1
    class_offset: int = 0


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

    opset: int = 18
    dynamic_batch: bool = True
    dynamic_size: bool = False
    input_names: Sequence[str] | None = None
    output_names: Sequence[str] | None = None


@dataclass(frozen=True)
class Settings:
    """The arguments of `export` that the metadata holds nowhere else.

    Attributes:
        score: What to explain.
        extras: What to add beside Grad-CAM.
        layers: The target layers by name; None where the choice is automatic.
        trace: How PyTorch exports the model; None for an ONNX file.
        image_input: The model's own input that takes the image, where the preprocessing is
            embedded and the artifact's input is another one; None for the first.
    """

    score: Score
    extras: Sequence[str]
    layers: Sequence[str] | None = None
    trace: TorchExport | None = None
    image_input: str | None = None
