"""``docs/benchmarks.md`` and ``docs/benchmarks.json``: what `benchmarks.run` measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

EXPLAINED = 1.05  # an explained run at the last layer takes at most this times the plain forward
PEER = 4.0  # pytorch-grad-cam takes at least this times the explained run
_QUIET = 0.5  # load before the start beyond which times are not to be trusted

_TEXT = """# Benchmarks

Made by `make bench` (`python -m benchmarks.run`) on a quiet machine; do not edit.

Pictures of 224 x 224, random weights. **Plain** is the file that `torch.onnx.export` writes, in
ONNX Runtime. **Explained** is graftcam's artifact with one class a picture (K = 1), its
predictions, scores and heatmap fetched; **K = 0** is the same file used for prediction alone.
**pytorch-grad-cam** explains the same class at the same layer of the PyTorch model; **torch** is
that model's forward in `inference_mode`. All take turns, in a random order each round, in one
process and with {threads} threads; ONNX Runtime's idle threads do not spin
(`session.intra_op.allow_spinning` = 0). Times are medians (quartiles) in milliseconds, ratios
are medians of the rounds' ratios.

{machine}
"""


def write_report(
    machine: dict[str, Any], results: Sequence[dict[str, Any]], folder: Path, *, quick: bool
) -> None:
    """Write both files into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [_TEXT.format(threads=machine["threads"], machine=_machine(machine))]
    if quick or machine["load"] > _QUIET:
        reason = "few rounds" if quick else f"load {machine['load']} before the start"
        lines += [f"> Preliminary: {reason}. Measure again on a quiet machine.", ""]
    for images in sorted({result["images"] for result in results}):
        lines += _tables([result for result in results if result["images"] == images], images)
    lines += _targets(results)
    (folder / "benchmarks.md").write_text("\n".join(lines) + "\n")
    data = {"machine": machine, "quick": quick, "results": list(results)}
    (folder / "benchmarks.json").write_text(json.dumps(data, indent=1) + "\n")


def _machine(machine: dict[str, Any]) -> str:
    tools = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return f"Machine: {machine['cpu']}, {machine['cores']} cores, {machine['system']}; {tools}."


def _tables(results: Sequence[dict[str, Any]], images: int) -> list[str]:
    rounds = results[0]["rounds"]
    lines = [f"## N = {images} ({rounds} rounds)", ""]
    lines += [
        "| model, layer | plain | explained | torch | pytorch-grad-cam |",
        "|---|---|---|---|---|",
    ]
    for result in results:
        shown = [_time(result["ms"][key]) for key in ("plain", "explained", "torch", "peer")]
        lines.append(f"| {' | '.join([_name(result), *shown])} |")
    lines += ["", "Ratios:", ""]
    lines += [
        "| model, layer | explained / plain | K = 0 / plain | K = 5 / plain "
        "| pytorch-grad-cam / explained |",
        "|---|---|---|---|---|",
    ]
    for result in results:
        of_plain = result["of_plain"]
        cells = [f"{of_plain[key]:.2f}" for key in ("explained", "predict", "five")]
        cells.append(f"{result['peer_of_explained']:.1f}")
        lines.append(f"| {' | '.join([_name(result), *cells])} |")
    return [*lines, ""]


def _name(result: dict[str, Any]) -> str:
    return f"{result['model']}, `{result['layer']}`{' (last)' if result['last'] else ''}"


def _time(quartiles: Sequence[float]) -> str:
    low, median, high = quartiles
    return f"{median:.1f} ({low:.1f} to {high:.1f})"


def _targets(results: Sequence[dict[str, Any]]) -> list[str]:
    """Each target with the values reached, and why where it is missed."""
    lines = ["## Targets", ""]
    last = [result for result in results if result["last"]]
    lines.append(f"- Explained at the last layer: at most {EXPLAINED} times the plain forward.")
    for result in last:
        value = result["of_plain"]["explained"]
        lines.append(_verdict(result, f"{value:.3f}", reached=value <= EXPLAINED))
        if value > EXPLAINED and "profile" in result:
            lines.append(_reason(result["profile"]))
    lines.append(f"- pytorch-grad-cam: at least {PEER:.0f} times the explained run.")
    for result in last:
        value = result["peer_of_explained"]
        lines.append(_verdict(result, f"{value:.2f}", reached=value >= PEER))
    return lines


def _verdict(result: dict[str, Any], value: str, *, reached: bool) -> str:
    word = "reached" if reached else "**missed**"
    return f"  - {result['model']}, N = {result['images']}: {value}, {word}"


def _reason(profile: dict[str, Any]) -> str:
    top = ", ".join(f"`{name}` {time:.2f}" for name, time in list(profile["top"].items())[:3])
    return (
        f"    (profile, ms: plain {profile['plain_ms']:.1f}; in the artifact the model's own nodes "
        f"{profile['own_ms']:.1f}, {profile['added_nodes']} added ones {profile['added_ms']:.2f}, "
        f"most of it {top})"
    )
