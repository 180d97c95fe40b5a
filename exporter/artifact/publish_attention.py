"""This module adds a model's attention to an artifact: tensors, and the maps of its methods."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from ...runtime.methods.attention_outputs import why_not_through
from ...runtime.methods.table import ATTENTION_METHODS
from ...runtime.spec import attention as record
from ..differentiate.cotangent import Cotangent
from ..errors import LayerError
from ..graph.emitter import Dim, Emitter, dims_of
from ..graph.precision import SINGLE
from ..heatmap.attention_maps import AttentionMaps, AttentionTensors
from ..heatmap.gradcam import by_image, publish
from ..heatmap.legrad import legrad_gradients
from ..locate.attention import AttentionBlock
from .find_attention import AttentionFound

TENSORS = "attention"
"""The extra that makes outputs of the tensors themselves."""
GRADIENTS = "attention_gradients"
"""The prefix of the names of the weights' gradients, outputs or not."""


@dataclass(frozen=True)
class AttentionWanted:
    """What is asked of a model's attention.

    Attributes:
        found: The attention.
        methods: The methods whose maps the graph makes.
        tensors: Whether the tensors become outputs.
    """

    found: AttentionFound
    methods: Sequence[str]
    tensors: bool

    @property
    def targets(self) -> list[ir.Value]:
        """The values whose cotangents are needed."""
        found = list[ir.Value]()
        if self.tensors:
            found += [block.weights for block in self.found.blocks]
        elif "gradient-rollout" in self.methods and (chain := self.found.chain) is not None:
            found += [block.weights for block in chain.all_blocks]
        if self.takes_result and self._read_block is not None:
            found.append(self._read_block.product.outputs[0])
        return found

    @property
    def takes_result(self) -> bool:
        """Whether the gradient of a block's result is needed, as Grad-ECLIP does."""
        return "grad-eclip" in self.methods or (self.tensors and self.shows_result)

    @property
    def shows_result(self) -> bool:
        """Whether Grad-ECLIP is defined: a class token is read, and attention is two MatMuls."""
        chain, last = self.found.chain, self._read_block
        if chain is None or last is None or not (chain.class_tokens or chain.class_blocks):
            return False
        nodes = last.scores, last.product
        plain = last.weights_first and all(node.op_type == "MatMul" for node in nodes)
        return plain and all(len(dims_of(node.outputs[0])) == 4 for node in nodes)

    @property
    def _read_block(self) -> AttentionBlock | None:
        return None if self.found.chain is None else self.found.chain.read_block

    def check(self) -> None:
        """Refuse methods that are not defined for the model.

        Raises:
            LayerError: A method follows tokens through all blocks, or starts at a class token.
        """
        apart = self.found.apart
        if self.methods and self.found.doubt:
            raise LayerError(f"method {self.methods[0]!r}: {self.found.doubt}")
        if self.methods and self.found.chain is None:
            raise LayerError(
                f"method {self.methods[0]!r} follows tokens of the whole image, and each attention "
                f"of the model, such as {apart[0]!r}, is of windows, of a few places or of "
                "channels; export the weights with --layer attention, or explain a layer"
            )
        for method in self.methods:
            if reason := why_not_through(method, apart, len(self.found.blocks), "legrad"):
                raise LayerError(reason)
        if "grad-eclip" in self.methods and not self.shows_result:
            raise LayerError(
                "method 'grad-eclip' starts at the class token's attention, and the model has none "
                "that the score is read off; use 'legrad' or 'gradient-rollout'"
            )


def publish_attention(
    emit: Emitter, wanted: AttentionWanted, cotangents: Mapping[ir.Value, Cotangent],
    seed: Cotangent, scale: float, batch: Dim,
) -> record.Attention:  # fmt: skip
    """Add the outputs, and return their record."""
    found, chain, arrangement = wanted.found, wanted.found.chain, wanted.found.arrangement
    weights = {b.name: emit.cast(b.weights, SINGLE, "single") for b in found.blocks}
    gradients = {
        block.name: by_image(emit, cotangents[block.weights] / scale)
        for block in found.blocks
        if block.weights in cotangents
    }
    for name, value in gradients.items() if not wanted.tensors else ():
        value.name = emit.unique(f"{GRADIENTS}.{name}")  # for the verification
    result, names = None, dict[str, str]()
    if chain is not None and arrangement is not None:
        tensors = AttentionTensors(weights, gradients)
        maps = AttentionMaps(emit, chain, arrangement, tensors)
        result = _ResultTensors.of(emit, chain.read_block, cotangents, scale, wanted)
        made = _made(emit, wanted.methods, maps, result, seed, scale)
        names = {
            method: publish(emit, value, f"heatmap.{method}", [batch, "K", *arrangement.grid])
            for method, value in made.items()
        }
    shown = dict[str, tuple[str, str]]()
    if wanted.tensors:
        for name, value in weights.items():
            shape = dims_of(value)[1:]
            shown[name] = (
                publish(emit, value, f"attention.{name}", [batch, *shape]),
                publish(emit, gradients[name], f"{GRADIENTS}.{name}", [batch, "K", *shape]),
            )
    streams = dict[str, str | None]()
    if chain is not None:
        names_of = (one.name for one in chain.blocks)
        streams = dict(zip(names_of, (one.name for one in chain.streams), strict=True))
    blocks = [
        record.AttentionBlock(
            one.name, one.weights.name or "", found.role(one), streams.get(one.name),
            *shown.get(one.name, ()),
        )
        for one in found.blocks
    ]  # fmt: skip
    if result is not None and chain is not None:
        place = next(i for i, one in enumerate(blocks) if one.name == chain.read_block.name)
        blocks[place] = result.publish(emit, blocks[place], batch)
    if chain is None or arrangement is None:
        return record.Attention(blocks, [], [], 0)
    return record.Attention(
        blocks, list(chain.class_tokens),
        [extent if isinstance(extent, int) else None for extent in arrangement.grid],
        arrangement.prefix, arrangement.suffix or None, list(arrangement.input_axes) or None,
        names or None,
    )  # fmt: skip


def _made(
    emit: Emitter, methods: Sequence[str], maps: AttentionMaps, result: _ResultTensors | None,
    seed: Cotangent, scale: float,
) -> dict[str, ir.Value]:  # fmt: skip
    """The map of each method."""
    made: dict[str, ir.Value] = {}
    for method in methods:
        with emit.scope(f"attention/{method}"):
            if method == "legrad":
                inner = legrad_gradients(emit, maps.chain, seed, scale)
                made[method] = maps.legrad(list(inner.values()))
            elif method == "grad-eclip":
                assert result is not None
                made[method] = maps.grad_eclip(*result)
            else:
                made[method] = _FOLLOWING[method](maps)
    return made


_FOLLOWING = {
    "rollout": AttentionMaps.rollout,
    "gradient-rollout": AttentionMaps.gradient_rollout,
}


class _ResultTensors(tuple[ir.Value, ir.Value, ir.Value, ir.Value]):
    """Queries, keys and values of a block, and the gradient of its result; see `AttentionBlock`."""

    @classmethod
    def of(
        cls, emit: Emitter, block: AttentionBlock, cotangents: Mapping[ir.Value, Cotangent],
        scale: float, wanted: AttentionWanted,
    ) -> _ResultTensors | None:  # fmt: skip
        """The tensors, if they are wanted."""
        if not wanted.takes_result:
            return None
        queries, keys = block.scores.inputs
        values, result = block.product.inputs[1], block.product.outputs[0]
        assert queries is not None
        assert keys is not None
        assert values is not None
        dims = dims_of(keys)
        turned = emit.op("Transpose", keys, role="keys", perm=[0, 1, 3, 2],
                         shape=[*dims[:2], dims[3], dims[2]])  # fmt: skip
        single = (emit.cast(one, SINGLE, "single") for one in (queries, turned, values))
        return cls((*single, by_image(emit, cotangents[result] / scale)))

    def publish(
        self, emit: Emitter, block: record.AttentionBlock, batch: Dim
    ) -> record.AttentionBlock:
        """Make outputs of them."""
        names = ("attention_queries", "attention_keys", "attention_values")
        dims = [[batch, *dims_of(one)[1:]] for one in self[:3]]
        queries, keys, values = (
            publish(emit, one, name, shape)
            for one, name, shape in zip(self[:3], names, dims, strict=True)
        )
        shape = [batch, "K", *dims_of(self[3])[2:]]
        slopes = publish(emit, self[3], "attention_result_gradients", shape)
        return replace(block, queries=queries, keys=keys, values=values, result_gradients=slopes)


def methods_of(extras: Collection[str]) -> list[str]:
    """The methods of attention among extras, in the order of the table."""
    return [name for name in ATTENTION_METHODS if name in extras and name != TENSORS]
