"""What PyTorch's exporter noted about a node: the function of PyTorch that it was made of.

Functions that give other gradients at ties, or at 0, become one operator: ``max`` and ``amax`` a
ReduceMax, ``std`` and ``sqrt`` a Sqrt. The notes tell them apart; a file of another origin has
none, and the rule's own convention holds.
"""

from __future__ import annotations

import onnx_ir as ir

# The classes that a node lies in, its operator last, and the lines of the model that called it.
_CLASSES, _TRACE = "pkg.torch.onnx.class_hierarchy", "pkg.torch.onnx.stack_trace"
# The call with its arguments. A number that is promoted to a tensor's type has a name of its own.
_CALL, _PROMOTED = "pkg.torch.onnx.fx_node", "%scalar_tensor_default"
_CLAMPS = tuple(f"'aten.{name}.Tensor'" for name in ("clamp", "clamp_min", "clamp_max"))


def takes_first(node: ir.Node) -> bool:
    """Whether the gradient goes to the first of several extremes; else they share it.

    The exporter makes a ReduceMax, as of ``amax``, of a ``max`` that also gives the place, and of
    an adaptive max pool to one place.
    """
    return _made_of(node, "'aten.max.dim'", "'aten.min.dim'", ".AdaptiveMaxPool") or _called(
        node, "adaptive_max_pool"
    )


def shares_by_default(node: ir.Node) -> bool:
    """Whether equal extremes share the gradient, and nothing says that they did before."""
    chooses = node.op_type in ("ReduceMax", "ReduceMin", "Max", "Min")
    return chooses and not (node.metadata_props.keys() & {_CLASSES, _TRACE})


def rests_at_zero(node: ir.Node) -> bool:
    """Whether the gradient of a root is 0 where the root is 0: that of a norm or a deviation."""
    return _made_of(node, "'aten.linalg_vector_norm.default'") or _called(
        node, ".std(", ".std_mean("
    )


def halves_at_bounds(node: ir.Node) -> bool:
    """Whether an input at a bound of a Clip shares the gradient with it.

    The exporter makes a Clip of a clamp by tensors with one number, and its optimiser one of a
    maximum and a minimum.
    """
    shared = _made_of(node, *_CLAMPS, "'aten.maximum.default'", "'aten.minimum.default'")
    return shared and not clamps_by_numbers(node)


def clamps_by_numbers(node: ir.Node) -> bool:
    """Whether a Max, Min or Clip is a clamp by numbers, whose gradient at a bound is 0.

    Of integers beside floats the exporter makes tensors, and of the clamp one by tensors.
    """
    return _made_of(node, *_CLAMPS) and _PROMOTED in node.metadata_props.get(_CALL, "")


def _made_of(node: ir.Node, *names: str) -> bool:
    classes = node.metadata_props.get(_CLASSES, "")
    return any(name in classes for name in names)


def _called(node: ir.Node, *names: str) -> bool:
    """Whether the line of the model that made the node calls one of these functions.

    Some of them leave no class: a functional pool, and what PyTorch takes apart before it exports.
    """
    lines = node.metadata_props.get(_TRACE, "").rstrip().splitlines()[-1:]
    return any(name in line for line in lines for name in names)
