"""FullGrad: what the input and each bias contribute to a score, at each place.

Srinivas and Fleuret 2019, "Full-Gradient Representation for Neural Network Visualization",
1905.00780. The gradients at all biases come from the walk that gives the input's gradient.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add

import onnx_ir as ir

from ..differentiate.cotangent import Cotangent
from ..differentiate.plan import Plan
from ..differentiate.unsupported import described
from ..errors import CaptureError
from ..graph.emitter import Emitter, Part, dims_of, parts_of
from ..graph.expression import Expression
from ..graph.precision import SINGLE
from ..score.seed import Selection
from .biases import Bias, bias_of, in_numbers, term_of, values_laid_out
from .gradcam import publish

FULLGRAD, SUM = "fullgrad", "fullgrad_sum"
_SHOWN = 3  # operators that a message names
_LEAVE = "leave fullgrad out"


@dataclass(frozen=True)
class Biases:
    """The nodes between an image and the score that have biases.

    Attributes:
        image: The input, [N, C, *space], or [N, *space, C] with ``channels_last``.
        channels_last: See there.
        active: Values between them.
        kinds: The bias of each node that has one.
        laid_out: Values that are [N, C, *space].
    """

    image: ir.Value
    channels_last: bool
    active: frozenset[ir.Value]
    kinds: Mapping[ir.Node, Bias]
    laid_out: frozenset[ir.Value]

    def has_places(self, value: ir.Value) -> bool:
        """Whether a value tells places apart; a vector of channels does not."""
        return value in self.laid_out and any(extent != 1 for extent in dims_of(value)[2:])


def find_biases(plan: Plan, image: ir.Value, *, channels_last: bool) -> Biases:
    """Find the biases of a plan from the image to the score.

    Raises:
        CaptureError: There are none, or it is not known where in the image some belong.
    """
    if len(dims_of(image)) < 3:
        raise CaptureError(
            f"fullgrad shows places of an image, and input {image.name!r} has the shape "
            f"{dims_of(image)} without axes of places; {_LEAVE}"
        )
    kinds: dict[ir.Node, Bias] = {
        node: bias for node in plan.nodes if (bias := bias_of(node, plan.active)) != "none"
    }
    laid_out = values_laid_out(plan.nodes, image, channels_last=channels_last)
    found = Biases(image, channels_last, plan.active, kinds, laid_out)
    lost = [node for node in kinds if not _is_known(node, found)]
    if lost:
        named = ", ".join(f"{described(node)} {dims_of(node.outputs[0])}" for node in lost[:_SHOWN])
        more = f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
        raise CaptureError(
            "fullgrad is for convolutional models: it is not known which places of the image the "
            f"biases of {named}{more} belong to; {_LEAVE}"
        )
    if not any(found.has_places(node.outputs[0]) for node in kinds):
        raise CaptureError(
            "fullgrad: no convolution or norm between the input and the score has a bias, so the "
            f"map would be that of input-x-gradient; give the extra 'input_gradients' and {_LEAVE}"
        )
    return found


def _is_known(node: ir.Node, biases: Biases) -> bool:
    """Whether it is known where a bias belongs: at places of a map, or nowhere."""
    value = node.outputs[0]
    dims = dims_of(value)
    if len(node.outputs) > 1 or node.op_type in ("QuantizeLinear", "DequantizeLinear"):
        return False
    if not biases.has_places(value):
        return value in biases.laid_out or len(dims) < 3
    if biases.kinds[node] != "curved":
        return True
    return all(
        dims_of(one) == dims for one in node.inputs if one is not None and one in biases.active
    )


@dataclass(frozen=True)
class Terms:
    """Collects what the input and the biases contribute, while a walk goes back.

    Attributes:
        emit: Where nodes are added.
        biases: The nodes that have biases.
        scale: How much larger than the gradients cotangents are; see `seed.cotangent_scale`.
        maps: float32 [K, N, *space], by the extents of the space.
        sums: What each term sums up to, float32 [K, N].
    """

    emit: Emitter
    biases: Biases
    scale: float
    maps: dict[tuple[Part, ...], list[Expression]] = field(
        default_factory=dict[tuple[Part, ...], list[Expression]]
    )
    sums: list[Expression] = field(default_factory=list[Expression])

    def watch(
        self, node: ir.Node, g: Cotangent | None, results: Sequence[tuple[ir.Value, Cotangent]]
    ) -> None:
        """Take what a node of the walk contributes; see `backward.Watch`."""
        bias, y, emit = self.biases.kinds.get(node), node.outputs[0], self.emit
        if bias is None or g is None:
            return
        results = [(x, r) for x, r in results if x in self.biases.active]
        with emit.scope(f"fullgrad/{node.name or node.op_type}"):
            if not self.biases.has_places(y) and bias == "curved":
                self.sums.extend([self._inner(g, y), *(-self._inner(r, x) for x, r in results)])
                return
            term, rank = term_of(emit, node, bias, g, results, self.scale), len(dims_of(y))
            self.sums.append(_total(term, rank))
            if self.biases.has_places(y):
                self.maps.setdefault(tuple(parts_of(y)[2:]), []).append(_rescaled(term, rank))

    def publish(
        self, gradient: Cotangent, chosen: Selection, *, curved_score: bool
    ) -> dict[str, str]:
        """Make the outputs and return their names by the metadata's fields.

        Args:
            gradient: The cotangent of the image.
            chosen: What the walk began with, and its scores.
            curved_score: The score is no linear function of the table that was differentiated, but
                a probability of it: what is left has no place.
        """
        emit, image = self.emit, self.biases.image
        rank, last = len(dims_of(image)), self.biases.channels_last
        with emit.scope("fullgrad"):
            term = in_numbers(emit, gradient, self.scale) * emit.cast(image, SINGLE, "single")
            sums = [_total(term, rank), *self.sums]
            if last:
                term = term.op("Transpose", perm=[0, 1, rank, *range(2, rank)])
            of_biases = (
                self._over_image(_sum(maps), space, last) for space, maps in self.maps.items()
            )
            whole = _sum([_by_image(_rescaled(term, rank), rank), *of_biases])
            total = _by_image(_sum(sums), 2)
            if curved_score:
                table = chosen.seed.forward
                behind = _by_image(self._inner(chosen.seed, table), 2)
                total = total + (Expression(emit, emit.cast(chosen.scores, SINGLE)) - behind)
        dims = dims_of(image)
        space = dims[1:-1] if last else dims[2:]
        return {
            FULLGRAD: publish(emit, whole.value, f"heatmap.{FULLGRAD}", [dims[0], "K", *space]),
            SUM: publish(emit, total.value, SUM, [dims[0], "K"]),
        }

    def _inner(self, g: Cotangent, value: ir.Value) -> Expression:
        """The inner product of a cotangent and its value, [K, N]."""
        emit = self.emit
        product = in_numbers(emit, g, self.scale) * emit.cast(value, SINGLE, "single")
        return _total(product, len(dims_of(value)))

    def _over_image(self, maps: Expression, space: tuple[Part, ...], last: bool) -> Expression:
        """Maps [K, N, *space] as [N, K, *space of the image], interpolated linearly."""
        emit, by_image = self.emit, _by_image(maps, len(space) + 2)
        batch, *others = parts_of(self.biases.image)
        whole = others[:-1] if last else others[1:]
        if tuple(whole) == space:
            return by_image
        size = emit.vector([batch, emit.classes, *whole])
        return by_image.op("Resize", None, None, size, role="resized", mode="linear")


def _rescaled(term: Expression, rank: int) -> Expression:
    """The magnitudes of a term [K, N, C, *space] from 0 to 1, summed over the channels.

    Each image's and class's smallest magnitude becomes 0, its largest 1; all 0 if they are equal.
    """
    size, axes = term.op("Abs"), [*range(2, 1 + rank)]
    lowest = size.op("ReduceMin", axes, role="lowest", keepdims=1)
    highest = size.op("ReduceMax", axes, role="highest", keepdims=1)
    summed = (size - lowest).sum([2])
    return summed.over(highest - lowest).op("Squeeze", [2], role="map")


def _total(term: Expression, rank: int) -> Expression:
    """The sum of a term [K, N, ...] of ``rank`` axes beside K, over all but the first two."""
    return term.sum(range(2, 1 + rank), keep=False) if rank > 1 else term


def _by_image(value: Expression, rank: int) -> Expression:
    """[K, N, ...] as [N, K, ...], of ``rank`` axes."""
    return value.op("Transpose", role="by_image", perm=[1, 0, *range(2, rank)])


def _sum(terms: Iterable[Expression]) -> Expression:
    return reduce(add, terms)
