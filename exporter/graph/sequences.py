"""`resolve_sequences` replaces sequences of tensors by the tensors, where their structure is known.

A sequence has no gradient: its operators only say which tensor goes where. If the length and the
places are known before run time, Split, Squeeze, Identity and Concat say the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from .attributes import only_input
from .constant_folding import KnownArrays
from .emitter import dims_of
from .lift_nodes import UniqueNames, add_ints

_AXES_AS_INPUTS = 13  # the opset from which on Split, Squeeze and Unsqueeze read them
_LONGEST = 1000  # tensors of a sequence that is followed
_READING = ("SequenceAt", "SequenceLength", "ConcatFromSequence")


def resolve_sequences(model: ir.Model) -> bool:
    """Replace each operator of the top graph that reads a sequence of a known structure.

    Operators whose places or lengths depend on the data stay as they are, and so do the sequences
    that they read.

    Returns:
        Whether there were any.
    """
    resolver = _Resolver(model)
    for node in list(model.graph):
        if node.domain not in ("", "ai.onnx"):
            continue
        if node.op_type in _READING:
            resolver.replace(node)
        elif node.outputs:
            resolver.follow(node)
    resolver.sweep()
    return resolver.replaced


class _Resolver:
    """What the sequences of a graph consist of, as far as it is known.

    Attributes:
        replaced: Whether an operator has been replaced.
    """

    def __init__(self, model: ir.Model) -> None:
        self.replaced = False
        self._graph, self._opset = model.graph, model.opset_imports.get("", 1)
        self._names, self._known = UniqueNames(model.graph), KnownArrays(self._opset)
        self._tensors: dict[ir.Value, list[ir.Value]] = {}
        self._made: list[ir.Node] = []
        self._numbers: list[ir.Value] = []

    def follow(self, node: ir.Node) -> None:
        """Store the tensors of the sequence that a node makes, if it makes one."""
        before = None if not node.inputs or node.inputs[0] is None else node.inputs[0]
        known = None if before is None else self._tensors.get(before)
        found: list[ir.Value] | None = None
        if node.op_type == "SequenceEmpty":
            found = []
        elif node.op_type == "SequenceConstruct":
            found = [value for value in node.inputs if value is not None]
        elif node.op_type == "SplitToSequence":
            found = self._split(node)
        elif known is not None and node.op_type == "Identity":
            found = known
        elif known is not None and node.op_type == "SequenceInsert":
            place = self._place(node, 2, len(known), default=len(known))
            if place is not None:
                found = [*known[:place], only_input(node, 1), *known[place:]]
        elif known and node.op_type == "SequenceErase":
            place = self._place(node, 1, len(known), default=len(known) - 1)
            if place is not None:
                found = [*known[:place], *known[place + 1 :]]
        if found is not None and len(found) <= _LONGEST:
            self._tensors[node.outputs[0]] = found

    def replace(self, node: ir.Node) -> None:
        """Replace a node that reads a sequence by nodes that read its tensors."""
        tensors = self._tensors.get(only_input(node))
        if tensors is None:
            return
        made: list[ir.Node] = []
        if node.op_type == "SequenceLength":
            length = ir.tensor(np.array(len(tensors), np.int64))
            made = [ir.node("Constant", [], {"value": length})]
        elif node.op_type == "SequenceAt":
            place = self._place(node, 1, len(tensors))
            if place is not None and place < len(tensors):
                made = [ir.node("Identity", [tensors[place]])]
        elif tensors:
            made = self._joined(node, tensors)
        if not made:
            return
        old, last = node.outputs[0], made[-1].outputs[0]
        last.type, last.shape = old.type, old.shape
        for one in made:
            one.name = self._names.of(one.op_type, node.name, always=True)
            one.outputs[0].name = one.name
            one.metadata_props.update(node.metadata_props)  # such as the module it comes from
        made[-1].name = node.name
        ir.convenience.replace_nodes_and_values(self._graph, node, [node], made, [old], [last])
        self.replaced = True

    def sweep(self) -> None:
        """Remove sequences that nothing reads any more, and splits that nothing ever read."""
        made = {*self._made}
        for node in reversed(list(self._graph)):
            idle = not any(value.uses() or value.is_graph_output() for value in node.outputs)
            known = any(value in self._tensors for value in node.outputs)
            if idle and (node in made or (known and self.replaced)):
                self._graph.remove(node, safe=True)
        for value in self._numbers:
            if not value.uses():
                self._graph.initializers.pop(value.name or "", None)

    def _place(
        self, node: ir.Node, index: int, length: int, default: int | None = None
    ) -> int | None:
        """The place that an input names, counted from the front; None if it is not known."""
        given = node.inputs[index] if index < len(node.inputs) else None
        if given is None:
            return default
        number = self._known.of(given)
        if number is None or not -length <= int(number.item()) <= length:
            return None
        place = int(number.item())
        return place + length if place < 0 else place

    def _split(self, node: ir.Node) -> list[ir.Value] | None:
        """The parts that a SplitToSequence makes; None if their number or sizes are not known."""
        source, axis = only_input(node), node.attributes.get_int("axis", 0)
        extent = None if source.shape is None else dims_of(source)[axis]
        given = node.inputs[1] if len(node.inputs) > 1 else None
        known = None if given is None else self._known.of(given)
        if known is not None and known.ndim:
            sizes = [int(size) for size in known]
        elif not isinstance(extent, int) or (given is not None and known is None):
            return None
        else:
            size = 1 if known is None else int(known.item())
            if size < 1 or extent > size * _LONGEST:
                return None
            sizes = [min(size, extent - start) for start in range(0, extent, size)]
        if not sizes:
            return None
        prefix = node.name
        split = self._with_numbers("Split", source, sizes, "split", axis=axis, outputs=len(sizes))
        parts, made = list(split.outputs), [split]
        if given is None and not node.attributes.get_int("keepdims", 1):
            made += [self._with_numbers("Squeeze", part, [axis], "axes") for part in parts]
            parts = [one.outputs[0] for one in made[1:]]
        for one in made:
            one.name = self._names.of(one.op_type, prefix, always=True)
            for number, value in enumerate(one.outputs):
                value.name = self._names.of(f"{one.op_type}_{number}", prefix, always=True)
                value.type = source.type
        self._graph.insert_after(node, made)
        self._made += made
        return parts

    def _joined(self, node: ir.Node, tensors: Sequence[ir.Value]) -> list[ir.Node]:
        """The nodes that a ConcatFromSequence stands for."""
        axis, made = node.attributes.get_int("axis", 0), list[ir.Node]()
        if node.attributes.get_int("new_axis", 0):
            made = [self._with_numbers("Unsqueeze", one, [axis], "axes") for one in tensors]
            tensors = [one.outputs[0] for one in made]
        return [*made, ir.node("Concat", tensors, {"axis": axis})]

    def _with_numbers(
        self, op_type: str, value: ir.Value, numbers: Sequence[int], name: str, *,
        outputs: int = 1, **attributes: int,
    ) -> ir.Node:  # fmt: skip
        """A node with a list of numbers: an input or an attribute, as the opset has it."""
        if self._opset < _AXES_AS_INPUTS:
            return ir.node(
                op_type, [value], {name: list(numbers), **attributes}, num_outputs=outputs
            )
        held = add_ints(self._graph, numbers, self._names, f"{value.name}/{name}")
        self._numbers.append(held)
        return ir.node(op_type, [value, held], attributes, num_outputs=outputs)
