"""A profile selects what may be emitted for the platform that runs the artifact.

The default runs wherever ONNX Runtime's CPU kernels run, and has kernels on CUDA. The other
profiles exist only for restrictions that one graph cannot satisfy for all platforms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import onnx_ir as ir

from ..errors import CaptureError

ProfileName: TypeAlias = Literal["default", "web", "webgpu", "cuda", "openvino"]
_NO_CUDA_POOL = 22  # the opset from which on ONNX Runtime's CUDA has no MaxPool


@dataclass(frozen=True)
class Profile:
    """What may be emitted.

    Attributes:
        name: Its name in the API.
        pool_indices: A MaxPool may output its Indices. WebGPU's MaxPool has no Indices: it
            fails at run time, and does not leave the node to the CPU.
        optional_inputs: The caller may leave out the added inputs. ONNX Runtime's JavaScript
            cannot feed an input that has a default.
        sizes_from_data: Sizes may depend on the values of inputs, not on their shapes alone. Sizes
            are in CPU memory: the run must wait for the GPU to compute them, and CUDA cannot
            capture such a graph.
        branches: A part of the graph may run only if it is needed.
        shared_squares: Added nodes may read the square weights that the model reads. OpenVINO
            computes wrong numbers there (`suit_openvino`).
        webgpu: Nodes are rewritten that WebGPU gets wrong (`suit_webgpu`): among others, its
            tensors have one element at least, also if no class is explained.
    """

    name: ProfileName
    pool_indices: bool = True
    optional_inputs: bool = True
    sizes_from_data: bool = True
    branches: bool = True
    shared_squares: bool = True
    webgpu: bool = False


DEFAULT = Profile("default")
PROFILES: dict[ProfileName, Profile] = {
    "default": DEFAULT,
    "web": Profile("web", pool_indices=False, optional_inputs=False, branches=False),
    "openvino": Profile("openvino", optional_inputs=False, branches=False, shared_squares=False),
    "webgpu": Profile(
        "webgpu",
        pool_indices=False,
        optional_inputs=False,
        sizes_from_data=False,
        branches=False,
        webgpu=True,
    ),
    "cuda": Profile("cuda", sizes_from_data=False, branches=False),
}


def profile_of(name: str) -> Profile:
    """Return the profile ``name``.

    Raises:
        CaptureError: There is no such profile.
    """
    for known, profile in PROFILES.items():
        if known == name:
            return profile
    raise CaptureError(f"unknown profile {name!r}; choose one of {', '.join(PROFILES)}")


def remarks(profile: Profile, graph: ir.Graph) -> list[str]:
    """Return notes on the model's own nodes that the profile's platform cannot run."""
    pools = [node for node in graph if node.op_type in ("MaxPool", "AveragePool")]
    if profile.name == "cuda" and graph.opset_imports.get("", 0) >= _NO_CUDA_POOL:
        found = [node for node in pools if node.op_type == "MaxPool"]
        why = f"CUDA has no MaxPool of opset {_NO_CUDA_POOL}, which is left to the CPU"
        return [f"{why}: {_named(found)}; give the model in opset 21"] if found else []
    if profile.pool_indices:
        return []
    refused = {
        "ceil_mode": [n for n in pools if n.attributes.get_int("ceil_mode", 0)],
        "the output Indices": [n for n in pools if len(n.outputs) > 1],
    }
    return [
        f"WebGPU has no pool with {what}, and the model has {_named(found)}; run it with WASM"
        for what, found in refused.items()
        if found
    ]


def _named(nodes: Sequence[ir.Node]) -> str:
    """Return the name of the first node, and how many more there are."""
    more = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
    return f"{nodes[0].op_type} {nodes[0].name!r}{more}"
