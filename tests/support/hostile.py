"""Parts of ONNX files that no exporter writes, without the package onnx."""

from __future__ import annotations

from collections.abc import Iterable

from support.onnx_bytes import field

# What follows a file is merged into it: a graph's fields are added to those of its graph.
TENSORS = {
    "an initializer": lambda tensor: field(7, field(5, tensor)),
    "a node": lambda tensor: field(7, field(1, field(5, field(1, "value") + field(5, tensor)))),
    "a branch": lambda tensor: field(
        7, field(1, field(5, field(1, "body") + field(6, field(5, tensor))))
    ),
    "a list": lambda tensor: field(7, field(1, field(5, field(1, "values") + field(10, tensor)))),
    "a sparse tensor": lambda tensor: field(7, field(15, field(1, tensor))),
    "a function": lambda tensor: field(25, field(1, "F") + field(7, field(5, field(5, tensor)))),
    "a function's default": lambda tensor: field(25, field(11, field(5, tensor))),
    "the training": lambda tensor: field(20, field(1, field(5, tensor))),
}
"""What adds a tensor to a file that it follows, by the place of the tensor."""


def outside(
    location: str | None, *, shape: Iterable[int] = (4,), kind: int = 1, name: str = "stolen",
    **entries: str,
) -> bytes:  # fmt: skip
    """A TensorProto whose numbers lie in another file."""
    said = {"location": location, **entries}
    return (
        b"".join(field(1, extent) for extent in shape)
        + field(2, kind)
        + field(8, name)
        + b"".join(field(13, field(1, k) + field(2, v)) for k, v in said.items() if v is not None)
        + field(14, 1)
    )


def calls(name: str, *called: str, branch: bool = False) -> bytes:
    """A function of domain ``d`` that calls others, one after the other, or in a branch."""
    values = [f"v{number}" for number in range(len(called))]
    nodes = [
        field(1, before) + field(2, after) + field(4, function) + field(7, "d")
        for before, after, function in zip(["in", *values], values, called, strict=False)
    ]
    if branch:
        inner = b"".join(field(1, node) for node in nodes)
        nodes = [field(2, "out") + field(4, "If") + field(5, field(1, "g") + field(6, inner))]
    body = b"".join(field(7, node) for node in nodes)
    return field(25, field(1, name) + field(4, "in") + field(5, "out") + body + field(10, "d"))


def laughs(depth: int, times: int = 2, *, branch: bool = False) -> bytes:
    """Functions of which each calls the one before it several times."""
    first = calls("F0", "Identity")
    rest = (calls(f"F{n}", *[f"F{n - 1}"] * times, branch=branch) for n in range(1, depth))
    return first + b"".join(rest)
