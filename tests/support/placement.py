"""Where ONNX Runtime would run the nodes of an artifact, as far as the file shows.

Three things take a node off a GPU: no kernel for its form or types, attributes that the provider
refuses, and a size that depends on data, which is waited for and carried to the CPU.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import onnx

from support.operators.kernels import Need, has_kernel, needs_by_node, serves
from support.paths import DATA

FLOATS = {"float16", "bfloat16", "float", "double"}
# Inputs that every provider reads in the CPU's memory: sizes, axes, counts.
SIZES = {
    "ConstantOfShape": (0,), "CumSum": (1,), "Expand": (1,), "OneHot": (1,), "Pad": (1, 2, 3),
    "Range": (0, 1, 2), "Reshape": (1,), "Resize": (2, 3), "Slice": (1, 2, 3, 4), "Split": (1,),
    "Squeeze": (1,), "Tile": (1,), "TopK": (1,), "Unsqueeze": (1,),
    **{f"Reduce{kind}": (1,) for kind in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min",
                                          "Prod", "Sum", "SumSquare")},
}  # fmt: skip


@cache
def webgpu() -> dict[str, Any]:
    """Operators of onnxruntime-web's WebGPU, as its package lists them."""
    path = DATA / "webgpu.json"
    return json.loads(path.read_text())["operators"]


def off_cuda(model: onnx.ModelProto) -> dict[str, str]:
    """Nodes that compute on floats and that CUDA leaves to the CPU, by name, with the reason."""
    found = _without(model, lambda need: has_kernel("CUDAExecutionProvider", need))
    uneven = "CUDA takes no ConvTranspose with uneven padding"
    return found | {n.name: uneven for n in model.graph.node if n.op_type == "ConvTranspose"
                    and _uneven(n)}  # fmt: skip


def off_webgpu(model: onnx.ModelProto) -> dict[str, str]:
    """Nodes that compute on floats and that WebGPU leaves to WASM, or fails on, with the reason."""
    found = _without(model, lambda need: serves(webgpu().get(need.op_type, []), need))
    for node in model.graph.node:
        ceil = any(a.name == "ceil_mode" and a.i for a in node.attribute)
        indices = node.op_type == "MaxPool" and len(node.output) > 1
        if ceil or indices:
            found[node.name] = "WebGPU runs no pool with ceil_mode or Indices"
    return found


def sizes_from_data(model: onnx.ModelProto) -> list[str]:
    """Nodes that read a size which depends on what the inputs hold; control flow counts as such."""
    fixed = {one.name for one in model.graph.initializer} - {i.name for i in model.graph.input}
    found: list[str] = []
    for node in model.graph.node:
        read = [node.input[i] for i in SIZES.get(node.op_type, ()) if i < len(node.input)]
        if node.op_type in ("If", "Loop", "Scan") or not {"", *fixed}.issuperset(read):
            found.append(node.name)
        if node.op_type in ("Shape", "Size") or {"", *fixed}.issuperset(node.input):
            fixed.update(node.output)
    return found


def added(found: dict[str, str]) -> dict[str, str]:
    """Those of the nodes that graftcam added."""
    return {name: reason for name, reason in found.items() if name.startswith("grad/")}


def _without(model: onnx.ModelProto, has: Callable[[Need], bool]) -> dict[str, str]:
    return {
        name: f"no kernel for {need}"
        for name, wanted in needs_by_node(model).items()
        for need in wanted
        if any(kind in FLOATS for _, kind in need.types) and not has(need)
    }


def _uneven(node: onnx.NodeProto) -> bool:
    pads = next((list(a.ints) for a in node.attribute if a.name == "pads"), [])
    return pads[: len(pads) // 2] != pads[len(pads) // 2 :]
