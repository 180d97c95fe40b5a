"""`write_report` writes the zoo's results to ``docs/models.md`` and ``docs/models.json``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .script import table, write_json

_HEAD = """# Models compared with PyTorch

Written by `make zoo`; do not edit. Each row is one model with random weights, exported with the
automatic layer, an early one, a middle one and, for transformers, a norm inside a block, all in
one artifact. ONNX Runtime runs it on random images. The model's outputs, scores, activations,
gradients and heatmaps for two classes of at least six images are compared with PyTorch autograd in
float64. An error is the relative L2 error of the worst image and output; the number in parentheses
is the error of PyTorch's own float32 on the same output.

- **Twin**: the model with smooth functions instead of its kinks (ReLU, hard activations, max
  pools). Errors here show wrong rules; at most 1e-5, or 4 times PyTorch's own, is accepted. A
  model without kinks is its own twin. Images on which PyTorch's float32 has an error above 1e-3
  show nothing and are left out, at most half of them.
- **Itself**: near a kink one ReLU or arg-max that flips changes a gradient by 1e-3 and more, in
  PyTorch's float32 as well. Median or maximum must stay within 4 times PyTorch's own. Groups of
  three images in which PyTorch's float32 is itself wrong by more than 50 % are left out, at most
  half of them.
- **Contract**: every artifact is checked for any N and K (0 as well), class ids and ranks, and for
  the same numbers alone and in a batch.
- **Nodes**: of the model + added for all its layers. **Export**: seconds until the artifact is
  written.

The random weights are scaled (`benchmarks/condition.py`) so that every branch has a gradient.
"""
_COLUMNS = (
    "model", "input", "layers", "twin (PyTorch)", "itself (PyTorch)", "cosine", "nodes", "export",
    "verdict",
)  # fmt: skip
_WORDS = {
    "refused": "refused by name, with a reason",
    "no export": "not exportable by PyTorch",
    "fail": "failed",
}
_TITLES = {
    "torchvision": "Classifiers of torchvision",
    "segmentation": "Segmentation models of torchvision (score: the class summed over the image)",
    "timm": "A model of each architecture module of timm",
    "transformers": "Small models of transformers, as they come",
}


def write_report(
    records: Sequence[dict[str, Any]], folder: Path, planned: Mapping[str, int]
) -> None:
    """Write both files into ``folder``.

    Args:
        records: Results, in the order of the tables.
        folder: Folder for the files.
        planned: Number of models of each family; models without a result are counted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tools = sorted({", ".join(f"{k} {v}" for k, v in r["versions"].items()) for r in records})
    lines = [_HEAD, f"Versions: {'; '.join(tools)}."]
    for family, title in _TITLES.items():
        rows = [record for record in records if record["family"] == family]
        if rows:
            lines += ["", f"## {title}", "", _summary(rows, planned[family]), ""]
            lines += table(_COLUMNS, map(_cells, rows))
            for record in rows:
                if record["faults"]:
                    lines += ["", f"**{record['model']}** ({_WORDS[record['verdict']]}):", ""]
                    faults = [" ".join(fault.split()) for fault in record["faults"]]
                    lines += [f"- {f if len(f) <= 300 else f[:300] + ' ...'}" for f in faults]
    (folder / "models.md").write_text("\n".join(lines) + "\n")
    write_json(folder / "models.json", records)


def _summary(rows: Sequence[dict[str, Any]], planned: int) -> str:
    counts = Counter(record["verdict"] for record in rows)
    parts = [f"{counts['pass']} of {len(rows)} pass"]
    if len(rows) < planned:
        parts.append(f"{planned - len(rows)} more have not been run yet")
    parts += [f"{counts[verdict]} {words}" for verdict, words in _WORDS.items() if counts[verdict]]
    return ", ".join(parts) + "."


def _cells(record: dict[str, Any]) -> list[str]:
    layers = ", ".join(f"`{layer}`" for layer in record.get("layers", []))
    size = "x".join(str(side) for side in record["size"])
    details = [f"{name}={value}" for name, value in record["options"].items()]
    if record.get("static_batch"):
        details.append("fixed batch")
    name = f"{record['model']} ({', '.join(details)})" if details else record["model"]
    if "itself" not in record:
        return [name, size, layers, *[""] * 5, record["verdict"]]
    return [
        name, size, layers, _pair(record["twin"]) if "twin" in record else "itself",
        _pair(record["itself"]), f"{record['cosine']:.6f}", "{} + {}".format(*record["nodes"]),
        f"{record['export_seconds']:.0f} s", record["verdict"],
    ]  # fmt: skip


def _pair(worst: dict[str, Any]) -> str:
    return f"{worst['error']:.1e} ({worst['own']:.1e})"
