"""This script lists ONNX Runtime's kernels by operator, opset and type, as its builds report them.

    python -m benchmarks.kernels

writes what the installed build lists to ``tests/data/kernels.json`` and keeps what other builds
listed there. ``onnxruntime`` lists the CPU's kernels; ``onnxruntime-gpu`` also CUDA's, where the
libraries of all its providers load. (ONNX Runtime's docs/OperatorKernels.md is written from the
same list.) The WebAssembly build of onnxruntime-web runs the CPU's kernels.
"""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any

from onnxruntime.capi import onnxruntime_pybind11_state as state  # pyright: ignore

PATH = Path(__file__).parent.parent / "tests" / "data" / "kernels.json"
# The oldest opset that graftcam emits for; kernels for older forms are left out.
OLDEST = 18
# Types that an artifact may hold.
TYPES = {
    "bool", "float16", "bfloat16", "float", "double",
    "int8", "uint8", "int16", "uint16", "int32", "int64",
}  # fmt: skip
# ONNX Runtime's word for a kernel of the newest form.
OPEN = 2**31 - 1


def listed() -> dict[str, dict[str, list[list[Any]]]]:
    """Kernels by provider and operator: ``[first opset, last opset or None, types by name]``."""
    found: dict[str, dict[str, list[list[Any]]]] = {}
    for kernel in state.get_all_opkernel_def():
        first, last = kernel.version_range
        if kernel.domain or last < OLDEST:
            continue
        types = {
            name: sorted({k.removeprefix("tensor(").removesuffix(")") for k in kinds} & TYPES)
            for name, kinds in sorted(kernel.type_constraints.items())
        }
        if not all(types.values()):
            continue
        row = [first, None if last == OPEN else last, types]
        rows = found.setdefault(kernel.provider, {}).setdefault(kernel.op_name, [])
        if row not in rows:
            rows.append(row)
    return {
        provider: {name: _joined(rows) for name, rows in sorted(operators.items())}
        for provider, operators in sorted(found.items())
    }


def _joined(rows: list[list[Any]]) -> list[list[Any]]:
    """Kernels that differ in the types of one name only, as one row."""
    joined: list[list[Any]] = []
    for first, last, types in sorted(rows, key=repr):
        before: list[Any] = joined[-1] if joined else [None, None, {}]
        if before[:2] == [first, last] and len(types) == 1 and before[2].keys() == types.keys():
            [name] = types
            before[2][name] = sorted({*before[2][name], *types[name]})
        else:
            joined.append([first, last, types])
    return joined


def build() -> str:
    """Name and version of the installed package."""
    package = max(metadata.packages_distributions()["onnxruntime"])
    return f"{package} {metadata.version(package)}"


def main() -> None:
    table = json.loads(PATH.read_text()) if PATH.exists() else {}
    for provider, operators in listed().items():
        table[provider] = {"build": build(), "kernels": operators}
    lines: list[str] = []
    for provider, entry in sorted(table.items()):
        rows = [f"   {json.dumps(n)}: {json.dumps(r)}" for n, r in entry["kernels"].items()]
        head = f' {json.dumps(provider)}: {{"build": {json.dumps(entry["build"])}, "kernels": {{'
        lines.append(head + "\n" + ",\n".join(rows) + "}}")
    PATH.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print({provider: len(entry["kernels"]) for provider, entry in table.items()})


if __name__ == "__main__":
    main()
