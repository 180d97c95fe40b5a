"""Artifacts and explanations as text for a person at a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .explanation import Explanation
from .spec import Spec

_STATES = {
    "ok": "",
    "zero": "  (empty map: no evidence for this class)",
    "nonfinite": "  (the map is not finite: the model overflowed)",
}


def describe_spec(spec: Spec) -> str:
    """What an artifact holds, a line a topic."""
    transform, verdict = spec.preprocess, spec.verification
    lines = [
        f"graftcam artifact, spec {spec.version}, of {spec.source.get('name', 'an unnamed model')}",
        f"input   {spec.class_index}: int64 [N or 1, K], classes by id or by rank (-1 is the best)",
        f"score   {spec.score.value} ({spec.score.kind}), {spec.score.classes} classes, "
        f"{spec.score.activation}",
    ]
    if spec.region:
        lines.append(
            f"region  {spec.region}: float32 [N or 1, K or 1, *positions of {spec.score.output}], "
            "what the score is summed over (default: all)"
        )
    if spec.profile:
        lines.append(f"profile {spec.profile}")
    for layer in spec.layers:
        lines.append(f"layer   {layer.name}: {layer.layout}, grid {layer.grid}")
        lines.append(f"        {', '.join(layer.outputs)}")
        if layer.head:
            lines.append(f"        head in {layer.head.file}")
    if spec.of_input:
        lines.append(f"        of the input: {', '.join(spec.of_input.values())}")
    labels = spec.labels
    lines.append(f"labels  {', '.join(labels[:4])}{', ...' if len(labels) > 4 else ''}"
                 if labels else "labels  none")  # fmt: skip
    if transform:
        lines.append(
            f"picture {transform.input}: resize {transform.resize} ({transform.resize_mode}, "
            f"{transform.interpolation}), crop {transform.size}, mean {transform.mean}, "
            f"std {transform.std}"
        )
        if transform.embedded:
            lines.append(
                "        done by the graph: feed uint8 RGB [N, height, width, 3] of any size"
            )
    else:
        lines.append("picture no preprocessing stored: feed tensors with Explainer.run()")
    worst = f", {verdict.worst()}" if verdict.errors else ""
    lines.append(f"verify  {verdict.verdict}: {verdict.reference}, {verdict.images} inputs{worst}")
    lines.append("made by " + ", ".join(f"{k} {v}" for k, v in spec.tools.items()))
    return "\n".join(lines)


def describe_explanation(path: Path, found: Explanation, saved: Sequence[Path]) -> str:
    """A picture's classes with score, probability, status and overlay."""
    lines = [f"{path}"]
    rows = zip(found.to_dict()["classes"], saved, strict=True)
    for position, (entry, file) in enumerate(rows):
        share = "" if entry["probability"] is None else f"  p = {entry['probability']:.3f}"
        state = _STATES[entry["status"]]
        score = "overflow" if entry["score"] is None else f"{entry['score']:.3f}"
        measured = "".join(
            f"  {name.replace('_', ' ')} {values[position]:.3g}"
            for name, values in found.measures.items()
        )
        lines.append(f"  {entry['label']}  score {score}{share}{measured}{state}  -> {file}")
    return "\n".join(lines)
