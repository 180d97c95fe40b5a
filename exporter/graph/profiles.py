"""Where an artifact is to run, as far as that changes what is emitted.

The default runs everywhere that ONNX Runtime's CPU kernels do, and has kernels on CUDA. The others
exist for what one graph cannot do for all, and for nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import onnx_ir as ir

from ..errors import CaptureError

ProfileName: TypeAlias = Literal["default", "web", "cuda"]


@dataclass(frozen=True)
class Profile:
    """What may be emitted.

    Attributes:
        name: What the user calls it.
        pool_indices: A MaxPool may be asked where its maxima lie. WebGPU's gives no Indices: it
            fails when run, and does not leave the node to the CPU.
        optional_inputs: What is added to the inputs may be left out by the caller. ONNX Runtime's
            JavaScript cannot feed an input that has a default.
        sizes_from_data: Sizes may depend on what the inputs hold, not on their shapes alone. Sizes
            live in the CPU's memory: a GPU is waited for until it has told, and CUDA refuses to
            capture a graph that does.
    """

    name: ProfileName
    pool_indices: bool = True
    optional_inputs: bool = True
    sizes_from_data: bool = True


DEFAULT = Profile("default")
PROFILES: dict[ProfileName, Profile] = {
    "default": DEFAULT,
    "web": Profile("web", pool_indices=False, optional_inputs=False),
    "cuda": Profile("cuda", sizes_from_data=False),
}


def profile_of(name: str) -> Profile:
    """The profile called ``name``.

    Raises:
        CaptureError: There is none.
    """
    for known, profile in PROFILES.items():
        if known == name:
            return profile
    raise CaptureError(f"unknown profile {name!r}; choose one of {', '.join(PROFILES)}")


def remarks(profile: Profile, nodes: Sequence[ir.Node]) -> list[str]:
    """What of the model itself the profile's runtime does not run; nothing of it is changed."""
    if profile.name != "web":
        return []
    pools = [node for node in nodes if node.op_type in ("MaxPool", "AveragePool")]
    refused = {
        "ceil_mode": [n for n in pools if "ceil_mode" in n.attributes and _ceil(n)],
        "the output Indices": [n for n in pools if len(n.outputs) > 1],
    }
    return [
        f"WebGPU runs no pool with {what}, and the model has {_named(found)}; run it with WASM"
        for what, found in refused.items()
        if found
    ]


def _ceil(node: ir.Node) -> bool:
    return bool(node.attributes["ceil_mode"].as_int())


def _named(nodes: Sequence[ir.Node]) -> str:
    """The first of the nodes by name, and how many there are."""
    more = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
    return f"{nodes[0].op_type} {nodes[0].name!r}{more}"
