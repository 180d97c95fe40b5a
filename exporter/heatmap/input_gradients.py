"""This module adds the gradients with respect to the image's input as outputs.

Beside the derivative there are two relatives, which walk back with another rule for ReLU: see
`relu_overrides`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import onnx_ir as ir

from ...runtime.inputs.form import form_of
from ...runtime.spec import Preprocess
from ..differentiate.backward import differentiate
from ..differentiate.cotangent import Cotangent
from ..differentiate.plan import Plan, plan
from ..differentiate.relu_overrides import DECONVNET, GUIDED
from ..differentiate.rules import Entry
from ..errors import CaptureError, InputUnsupportedError, LayerError, UnsupportedError
from ..graph.emitter import Emitter, dims_of
from ..score.seed import Selection
from .fullgrad import FULLGRAD, Biases, Terms, find_biases
from .gradcam import by_image, publish

DERIVATIVE = "input_gradients"
# The rules that replace the operators' own on the way to each output, by the output's name, which
# is that of the metadata's field too.
WALKS: Mapping[str, Mapping[str, Entry]] = MappingProxyType(
    {DERIVATIVE: {}, "guided_gradients": GUIDED, "deconvnet_gradients": DECONVNET}
)


def walks_for(extras: Collection[str]) -> list[str]:
    """The walks of these extras, of `WALKS`, and `FULLGRAD`; any of them includes the derivative.

    The derivative is verified; FullGrad comes from the same walk.
    """
    asked = {"input_gradients", "guided", FULLGRAD} & set(extras)
    walks = list(WALKS) if "guided" in asked else [DERIVATIVE] if asked else []
    return [*walks, FULLGRAD] if FULLGRAD in asked else walks


def image_input(graph: ir.Graph, preprocess: Preprocess | None) -> ir.Value:
    """The input that the preprocessing feeds, or else the only one of a float type.

    Raises:
        CaptureError: There is no such input, or its type is no float.
    """
    floats = [
        value
        for value in graph.inputs
        if value.dtype is not None and value.dtype.is_floating_point() and value.const_value is None
    ]
    if preprocess is not None:
        (value,) = (value for value in graph.inputs if value.name == preprocess.input)
        if value in floats:
            return value
        raise CaptureError(
            f"input {value.name!r} is {value.dtype}, which carries no gradient; export the model "
            "from behind its conversion to float, or leave input_gradients, guided and fullgrad out"
        )
    if len(floats) != 1:
        raise CaptureError(
            f"the model has {len(floats)} inputs of floats ({[v.name for v in floats]}); say by "
            "`preprocess` which one takes the image, or leave input_gradients, guided and fullgrad "
            "out"
        )
    return floats[0]


def _has_channels_last(value: ir.Value, preprocess: Preprocess | None) -> bool:
    """Whether an image is [N, *space, C]; without a transform as the runtime reads its extents."""
    extents = [extent if isinstance(extent, int) else 0 for extent in dims_of(value)[1:]]
    form = form_of(extents, None, [None] * (len(extents) - 1), transform=preprocess)
    return form is not None and form.channel == len(extents) - 1


@dataclass(frozen=True)
class ImageWalks:
    """The walks back to the image's input.

    Attributes:
        value: The input.
        walks: The requested ones of `WALKS`.
        plan: For the layers and the input, in one walk.
        guided: For a walk to the input with another rule for ReLU; None where none is requested.
        biases: On the way to the input, for FullGrad; likewise.
    """

    value: ir.Value
    walks: tuple[str, ...]
    plan: Plan
    guided: Plan | None
    biases: Biases | None = None

    def terms(self, emit: Emitter, scale: float) -> Terms | None:
        """What is to watch the walk by ``plan``; None without FullGrad."""
        return None if self.biases is None else Terms(emit, self.biases, scale)

    def publish(
        self, emit: Emitter, cotangents: Mapping[ir.Value, Cotangent], chosen: Selection,
        scale: float, terms: Terms | None = None, *, curved_score: bool = False,
    ) -> dict[str, str]:  # fmt: skip
        """Make the outputs and return their names by the metadata's fields.

        Args:
            emit: Where nodes are added.
            cotangents: What the walk by ``plan`` found.
            chosen: What it began with.
            scale: How much larger than the gradients cotangents are; see `seed.cotangent_scale`.
            terms: From `terms`, after the walk.
            curved_score: See `Terms.publish`.
        """
        names, seed = dict[str, str](), chosen.seed
        if terms is not None:
            names |= terms.publish(cotangents[self.value], chosen, curved_score=curved_score)
        for walk in self.walks:
            found = cotangents
            if WALKS[walk] and self.guided is not None:
                found = differentiate(emit, self.guided, seed, WALKS[walk])
            names[walk] = _publish(emit, found[self.value] / scale, walk)
        return names


def plan_image_walks(
    graph: ir.Graph, layers: Plan, walks: Sequence[str], preprocess: Preprocess | None
) -> ImageWalks:
    """Plan ``walks`` beside that to the layers.

    Raises:
        CaptureError: No input takes images of floats, or guided rules are requested without a ReLU.
        InputUnsupportedError: Operators without a rule between the input and the score.
        LayerError: The score does not depend on the input, or has no gradient there.
    """
    value, full = image_input(graph, preprocess), FULLGRAD in walks
    walks = [walk for walk in walks if walk != FULLGRAD]
    try:
        whole = plan(graph, layers.score, [*layers.targets, value])
        alone = plan(graph, layers.score, [value])
    except UnsupportedError as error:
        raise InputUnsupportedError(error.obstacles) from None
    except LayerError:
        raise LayerError(
            f"the score {layers.score.name!r} has no gradient with respect to the input "
            f"{value.name!r}; leave input_gradients, guided and fullgrad out"
        ) from None
    changed = {operator for walk in walks for operator in WALKS[walk]}
    if changed and not any(node.op_type in changed for node in alone.nodes):
        raise CaptureError(
            f"guided: there is no Relu between the input {value.name!r} and the score, and only "
            "Relu has guided rules (not LeakyRelu, GELU or ReLU6); leave guided out: "
            "input_gradients holds the plain gradient"
        )
    last = _has_channels_last(value, preprocess)
    biases = find_biases(alone, value, channels_last=last) if full else None
    return ImageWalks(value, tuple(walks), whole, alone if changed else None, biases)


def _publish(emit: Emitter, gradient: Cotangent, name: str) -> str:
    """Make a gradient of the image an output, float32 [N, K, *input] in the input's layout."""
    dims = dims_of(gradient.forward)
    with emit.scope("input"):
        value = by_image(emit, gradient)
    return publish(emit, value, name, [dims[0], "K", *dims[1:]])


def unverified(walks: Sequence[str]) -> list[str]:
    """What to say of outputs that finite differences cannot check."""
    changed = [walk for walk in walks if WALKS.get(walk)]
    return [
        f"{' and '.join(changed)} are not verified: they are no derivatives, and an ONNX file has "
        "no PyTorch model that could follow the same rules"
    ] * bool(changed)
