"""``docs/models.md`` and ``docs/models.json``: what the zoo found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_HEAD = """# Models held against PyTorch

Made by `make zoo`; do not edit. Each row is one artifact, run by ONNX Runtime on random pictures
and compared with PyTorch autograd in float64: the model's outputs, scores, activations, gradients
and heatmaps for two classes of at least six pictures. An error is the relative L2 error of the
worst picture and output; beside it stands the error of PyTorch's own float32 on the same output.

- **Twin**: the model with its kinks (ReLU, hard activations, max pools) exchanged for smooth
  functions. Errors here show wrong rules; at most 1e-5, or 4 times PyTorch's own, is accepted.
- **Itself**: near a kink one ReLU or arg-max that flips changes a gradient by 1e-3 and more, in
  PyTorch's float32 as well. Median or maximum must stay within 4 times PyTorch's own.
- Both must keep the contract: any N and K (0 as well), class ids and ranks, the same numbers alone
  and in a batch; outputs of the model equal to those of a plain `torch.onnx.export`.

Weights are random but conditioned (`benchmarks/condition.py`), so that every branch carries
gradient. Export time includes graftcam's own verification.
"""


def write_report(records: Sequence[dict[str, Any]], folder: Path) -> None:
    """Write both files into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    passed = sum(record["verdict"] == "pass" for record in records)
    tools = sorted({", ".join(f"{k} {v}" for k, v in r["versions"].items()) for r in records})
    lines = [
        _HEAD,
        f"{passed} of {len(records)} pass ({'; '.join(tools)}).",
        "",
        "| model | input | layers | twin (PyTorch) | itself (PyTorch) | cosine | export | |",
        "|---|---|---|---|---|---|---|---|",
        *[_row(record) for record in records],
    ]
    failures = [record for record in records if record["faults"]]
    if failures:
        lines += ["", "## Failures", ""]
        for record in failures:
            lines += [f"- **{record['key']}**", *(f"  - {_short(f)}" for f in record["faults"])]
    (folder / "models.md").write_text("\n".join(lines) + "\n")
    (folder / "models.json").write_text(json.dumps(records, indent=1) + "\n")


def _row(record: dict[str, Any]) -> str:
    layers = ", ".join(f"`{layer}`" for layer in record["layers"])
    if record["automatic"]:
        layers = f"{layers} (automatic)" if layers else "automatic"
    size = "x".join(str(side) for side in record["size"])
    cells = [record["model"], size, layers]
    if "twin" in record:
        cells += [_pair(record["twin"]), _pair(record["itself"]), f"{record['cosine']:.6f}"]
        cells.append(f"{record['export_seconds']:.0f} s")
    else:
        cells += ["", "", "", ""]
    return f"| {' | '.join([*cells, record['verdict']])} |"


def _pair(worst: dict[str, Any]) -> str:
    return f"{worst['error']:.1e} ({worst['own']:.1e})"


def _short(fault: str) -> str:
    line = " ".join(fault.split())
    return line if len(line) <= 300 else line[:300] + " ..."
