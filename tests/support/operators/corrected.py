"""The ONNX reference evaluator, with what it gets wrong put right."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnx.reference.ops import op_scan

Array: TypeAlias = npt.NDArray[Any]


class ConvTranspose(OpRun):
    """Each input place adds the kernel, weighted, to the output: with groups, and no images too.

    The reference evaluator mixes the channels of groups up and refuses an empty batch.
    """

    op_domain = ""

    def _run(
        self, x: Array, w: Array, b: Array | None = None,
        auto_pad: str = "NOTSET", dilations: Any = None, group: int = 1, kernel_shape: Any = None,
        output_padding: Any = None, output_shape: Any = None, pads: Any = None, strides: Any = None,
    ) -> tuple[Array]:  # fmt: skip
        assert auto_pad == "NOTSET"
        assert output_shape is None
        space, kernel = x.shape[2:], w.shape[2:]
        rank = len(space)
        strides, dilations = strides or [1] * rank, dilations or [1] * rank
        beyond, pads = output_padding or [0] * rank, pads or [0] * 2 * rank
        spans = [s * (n - 1) + 1 for s, n in zip(strides, space, strict=True)]
        reach = [d * (k - 1) for d, k in zip(dilations, kernel, strict=True)]
        extents = [a + r + o for a, r, o in zip(spans, reach, beyond, strict=True)]
        outer = w.shape[1]
        whole = np.zeros((x.shape[0], group * outer, *extents), x.dtype)
        grouped = x.reshape(x.shape[0], group, x.shape[1] // group, *space)
        weights = w.reshape(group, x.shape[1] // group, *w.shape[1:])
        for place in np.ndindex(*kernel):
            part = np.einsum("ngi...,gio->ngo...", grouped, weights[(..., *place)])
            where = tuple(
                slice(d * at, d * at + span, s)
                for d, at, span, s in zip(dilations, place, spans, strides, strict=True)
            )
            whole[(..., *where)] += part.reshape(x.shape[0], group * outer, *space)
        inner = [slice(p, e - q) for p, q, e in zip(pads[:rank], pads[rank:], extents, strict=True)]
        whole = whole[(..., *inner)]
        return (whole if b is None else whole + b.reshape(-1, *[1] * rank),)


class Pad(OpRun):
    """Padding where negative widths crop, which the ONNX reference evaluator lacks."""

    op_domain = ""

    def _run(
        self, data: Array, pads: Array, value: Array | None = None, axes: Array | None = None,
        mode: str = "constant",
    ) -> tuple[Array]:  # fmt: skip
        chosen = range(data.ndim) if axes is None else [axis % data.ndim for axis in axes]
        widths = dict(zip(chosen, np.reshape(pads, (2, -1)).T, strict=True))
        pairs = [widths.get(axis, (0, 0)) for axis in range(data.ndim)]
        around = [(max(low, 0), max(high, 0)) for low, high in pairs]
        constant = {} if value is None else {"constant_values": value.item()}
        filled = np.pad(data, around, mode, **constant)
        crops = [
            slice(max(-low, 0), extent - max(-high, 0))
            for (low, high), extent in zip(pairs, filled.shape, strict=True)
        ]
        return (filled[tuple(crops)],)


class Erf(OpRun):
    """The error function in float64; the ONNX reference evaluator rounds it to float32."""

    op_domain = ""

    def _run(self, x: Array) -> tuple[Array]:
        return (np.vectorize(math.erf, otypes=[x.dtype])(x),)


class Scan(op_scan.Scan):
    """With directions, one for all inputs and outputs; the ONNX reference evaluator has none."""

    op_domain = ""

    def __init__(self, onnx_node: onnx.NodeProto, run_params: Any) -> None:
        plain, named = onnx.NodeProto(), {a.name: list(a.ints) for a in onnx_node.attribute}
        plain.CopyFrom(onnx_node)
        del plain.attribute[:]
        plain.attribute.extend(a for a in onnx_node.attribute if "directions" not in a.name)
        super().__init__(plain, run_params)
        self.step = -1 if any(named.get("scan_input_directions", [])) else 1

    def _run(self, *args: Array, **more: Any) -> tuple[Array, ...]:
        states = len(args) - self.num_scan_inputs
        turned = [x if i < states else x[:: self.step] for i, x in enumerate(args)]
        results = super()._run(*turned, **more)
        return tuple(x if i < states else x[:: self.step] for i, x in enumerate(results))


def reference(proto: onnx.ModelProto) -> ReferenceEvaluator:
    """The ONNX reference evaluator, with four operators put right."""
    return ReferenceEvaluator(proto, new_ops=[Pad, Erf, Scan, ConvTranspose])
