"""This module evaluates single nodes in float64, for finite differences.

ONNX Runtime runs the artifact, and so it says what an operator computes. It does so in float64
where it has the kernel: that is asked, not listed. It has none for convolutions and most pools.
For those its float32 kernel computes differences (`linear_part`). What remains is written out
(`formulas`) or runs in the ONNX reference evaluator. All of these are believed only if they give
what ONNX Runtime's float32 kernel gives at the point where the differences are taken; where nothing
is believed that kernel itself is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper
from onnx.reference import ReferenceEvaluator

from ..verdict.deadline import OutOfTime
from .formulas import FORMULAS
from .kernels import Evaluate, Kernels, read_by, wide, widened
from .linear_part import by_difference, by_powers

_NEW_MODES = 20  # the opset of GridSample's
# What two evaluations may differ by: of the result's length, and of what a unit in the last place
# of what enters makes of it. float32 kernels are far better than the first, unless the function is
# steep or large numbers cancel; the second shows that.
_SAME, _ROUNDED = 1e-3, 8.0
_FEW = 0.1  # the share of float64 numbers that are float32 numbers by chance is far smaller
_EPSILON, _MOVED = float(np.finfo(np.float32).eps), 1e-4  # relative: a rounding, and a step


class Float64Node:
    """One node, evaluated again and again with other values of what it reads.

    The first call is at the point where the differences are taken.

    Args:
        node: The node, with its attributes as they are in the model.
        kernels: Sessions for it.
        guard: Bounds what may take long.

    Attributes:
        by_reference: Whether the reference evaluator runs it.
        in_float32: Why it is evaluated in float32; empty if it is not.
    """

    def __init__(
        self, node: ir.Node, kernels: Kernels, guard: Callable[[Callable[[], Any]], Any]
    ) -> None:
        self.op_type, self.outputs = node.op_type, [value.name or "" for value in node.outputs]
        self._narrow, self._opsets = _with_kernel(ir.serde.serialize_node(node), kernels.opsets)
        self._proto = widened(self._narrow)
        self._kernels, self._guard = kernels, guard
        self._chosen: Evaluate | None = None
        self.by_reference, self.in_float32 = False, ""

    def __call__(self, values: Mapping[str, Any]) -> list[Any]:
        """What the node gives, in order."""
        if self._chosen is not None:
            return self._chosen(values)
        self._chosen, found = self._choose({name: values[name] for name in read_by(self._proto)})
        return found

    def _choose(self, values: Mapping[str, Any]) -> tuple[Evaluate, list[Any]]:
        """The first evaluation in float64 that gives what ONNX Runtime gives, and what it gives.

        Raises:
            Exception: Of the last evaluator that was tried, if none can run the node.
        """
        runtime = self._kernels.evaluate(self._narrow, self._opsets, values, np.float32)
        truth = None if runtime is None else _tried(runtime, values)

        @cache
        def shaken() -> Sequence[Any]:
            """What the float32 kernel gives for slightly other values."""
            assert runtime is not None
            return runtime(_shaken(values, self._kernels.varying))

        node = self._kernels, self._narrow, self._opsets
        failure: Exception = NotImplementedError(f"nothing evaluates {self.op_type}")
        reason = "nothing else evaluates it"
        for name, make in (
            ("ONNX Runtime in float64", self._by_kernel),
            ("its linear part", partial(by_difference, *node)),
            ("its linear part", partial(by_powers, *node)),
            ("its formula", self._by_formula),
            ("the ONNX reference evaluator", self._by_reference),
        ):
            try:
                evaluate = make(values)
                if evaluate is None:
                    continue
                found = evaluate(values)
                if (
                    truth is None or _agree(found, truth, truth)
                    or _agree(found, truth, shaken())
                ):  # fmt: skip
                    self.by_reference = make == self._by_reference
                    return evaluate, found
            except OutOfTime:
                raise
            except Exception as error:  # those of ONNX Runtime and numpy share no base of their own
                failure = error
            else:
                reason = f"{name} gives other values than ONNX Runtime"
        if runtime is None or truth is None:
            raise failure
        self.in_float32 = f"{self.op_type} is differenced in float32, since {reason}"
        return lambda now: [wide(one) for one in runtime(now)], [wide(one) for one in truth]

    def _by_kernel(self, values: Mapping[str, Any]) -> Evaluate | None:
        """ONNX Runtime in float64, unless that kernel computes in float32 (Shrink's does)."""
        evaluate = self._kernels.evaluate(self._proto, self._opsets, values, np.float64)
        if evaluate is None or not self._kernels.varying.intersection(values):
            return evaluate
        both = [evaluate(one) for one in (values, _shaken(values, self._kernels.varying, _MOVED))]
        return None if all(map(_is_rounded, *both)) else evaluate

    def _by_formula(self, values: Mapping[str, Any]) -> Evaluate | None:
        """What `formulas` writes out."""
        formula = FORMULAS.get(self.op_type) if self._proto.domain in ("", "ai.onnx") else None
        if formula is None:
            return None
        attributes = {one.name: helper.get_attribute_value(one) for one in self._proto.attribute}
        return lambda now: [formula(attributes, *(now[name] for name in self._proto.input))]

    def _by_reference(self, values: Mapping[str, Any]) -> Evaluate:
        """The ONNX reference evaluator."""
        names = read_by(self._proto)
        graph = helper.make_graph(
            [self._proto], "node",
            [helper.make_empty_tensor_value_info(name) for name in names],
            [helper.make_empty_tensor_value_info(name) for name in self._proto.output if name],
        )  # fmt: skip
        evaluator = ReferenceEvaluator(self._kernels.model(graph, self._opsets))

        def evaluate(now: Mapping[str, Any]) -> list[Any]:
            feeds = {name: now[name] for name in names}
            found = iter(self._guard(lambda: evaluator.run(None, feeds)))
            return [next(found) if name else None for name in self._proto.output]

        return evaluate


def _tried(evaluate: Evaluate, values: Mapping[str, Any]) -> list[Any] | None:
    """What an evaluation gives, or None if it fails."""
    try:
        return evaluate(values)
    except Exception:
        return None


def _agree(found: Sequence[Any], truth: Sequence[Any], shaken: Sequence[Any]) -> bool:
    """Whether float64 results are float32's; ``shaken`` shows how much of these is rounding.

    Numbers that overflow in float32 tell nothing. Neither do types other than float32: a float16
    is too coarse, and integers may be the places of what ties.
    """
    for one, right, other in zip(found, truth, shaken, strict=True):
        if not isinstance(right, np.ndarray) or right.dtype != np.float32:
            continue
        if not isinstance(one, np.ndarray) or (one.shape, one.dtype) != (right.shape, np.float64):
            return False
        clear = np.isfinite(right) & np.isfinite(other)
        expected = right[clear].astype(np.float64)
        noise = float(np.linalg.norm(other[clear] - expected))
        bound = _SAME * float(np.linalg.norm(expected)) + _ROUNDED * noise
        bound += float(np.finfo(np.float32).tiny) * expected.size  # digits are lost below that
        if not float(np.linalg.norm(one[clear] - expected)) <= bound:
            return False
    return True


def _is_rounded(before: Any, after: Any) -> bool:
    """Whether what changes in a float64 result is float32 numbers, some of it at least."""
    if not isinstance(after, np.ndarray) or after.dtype != np.float64:
        return False
    changed = after[(after != before) & np.isfinite(after)]
    return bool(changed.size) and float(np.mean(changed == changed.astype(np.float32))) > _FEW


def _shaken(
    values: Mapping[str, Any], varying: Collection[str], epsilon: float = _EPSILON
) -> dict[str, Any]:
    """Values whose varying floats are moved, by default by a unit in float32's last place."""
    signs = np.random.default_rng(0)
    return {
        name: value * (1 + epsilon * signs.choice([-1.0, 1.0], value.shape))
        if name in varying and isinstance(value, np.ndarray) and value.dtype.kind == "f" else value
        for name, value in values.items()
    }  # fmt: skip


def _with_kernel(
    proto: onnx.NodeProto, opsets: Mapping[str, int]
) -> tuple[onnx.NodeProto, Mapping[str, int]]:
    """A node that ONNX Runtime has a float64 kernel for in a later opset, as it is written there.

    That is GridSample, whose modes were renamed; the reference evaluator knows the new names only.
    """
    if proto.op_type != "GridSample" or opsets.get("", 0) >= _NEW_MODES:
        return proto, opsets
    for attribute in proto.attribute:
        if attribute.name == "mode":
            attribute.s = {b"bilinear": b"linear", b"bicubic": b"cubic"}.get(
                attribute.s, attribute.s
            )
    return proto, {**opsets, "": _NEW_MODES}
