"""These functions describe artifacts and explanations as text for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from ..inputs.values import describe_port
from ..plain_text import plain, plain_lines
from ..session.session import Port
from ..spec import Preprocess, ScoreRecord, Spec
from .attention_text import describe_attention
from .class_map import class_maps
from .detector_text import describe_detector
from .explanation_data import STATES, ExplanationData
from .render import Look
from .views import TextView


def describe_spec(spec: Spec, inputs: Sequence[Port]) -> str:
    """Describe an artifact, one line for each topic.

    Args:
        spec: Its metadata.
        inputs: The inputs that the model itself takes.
    """
    transform, verdict = spec.preprocess, spec.verification
    lines = [
        f"graftcam artifact, spec {spec.version}, of {spec.source.get('name', 'an unnamed model')}",
        _describe_selector(spec),
    ]
    if spec.output_index:
        lines.append(
            f"input   {spec.output_index}: int64 [N or 1, K], the output that each class is of: "
            + ", ".join(f"{place} {name}" for place, name in enumerate(spec.output_names))
        )
    for one in spec.by_output():
        score, name = one.score, f"{one.score.output}: " if spec.outputs else ""
        lines.append(
            f"score   {name}{score.value} ({score.kind}), {counted(one)}, {score.activation}"
        )
    lines += [f"takes   {describe_port(port)}" for port in inputs]
    if spec.region:
        lines.append(
            f"region  {spec.region}: float32 [N or 1, K or 1, *positions of {spec.score.output}], "
            "weights of the positions that the score is summed over (default: all)"
        )
    if spec.detector is not None:
        lines += describe_detector(spec.detector)
    if spec.profile:
        lines.append(f"profile {spec.profile}")
    for layer in spec.layers:
        lines.append(f"layer   {layer.name}: {layer.layout}, grid {layer.grid}")
        lines.append(f"        {', '.join(layer.outputs)}")
        if layer.head:
            lines.append(f"        head in {layer.head.file}")
    if spec.fused is not None:
        lines.append(f"fused   all layers' {spec.fused.method}: {', '.join(spec.of_all_layers)}")
    if spec.attention is not None:
        lines += describe_attention(spec.attention)
    if spec.of_input:
        names = (*spec.of_input.values(), *spec.of_fullgrad)
        lines.append(f"        of the input: {', '.join(names)}")
    for one in spec.by_output():
        labels, name = one.labels or [], f"{one.score.output}: " if spec.outputs else ""
        lines.append(f"labels  {name}{', '.join(labels[:4])}{', ...' if len(labels) > 4 else ''}"
                     if labels else f"labels  {name}none")  # fmt: skip
    if transform:
        lines.append(
            f"image   {transform.input}: resize {transform.resize} ({transform.resize_mode}, "
            f"{transform.interpolation}), crop {transform.size}, mean {transform.mean}, "
            f"std {transform.std}{particulars(transform)}"
        )
        if transform.embedded:
            lines.append(
                "        done by the graph: feed uint8 RGB [N, height, width, 3] of any size"
            )
    else:
        lines.append(
            "image   no preprocessing stored: takes arrays as the model does, and .npy files"
        )
    worst = f", {verdict.worst()}" if verdict.errors else ""
    where = f" in {verdict.engine}" if verdict.engine else ""
    lines.append(
        f"verify  {verdict.verdict}{where}: {verdict.reference}, {verdict.images} inputs{worst}"
    )
    lines += [f"        not proven: {reason}" for reason in verdict.unproven or []]
    lines.append("made by " + ", ".join(f"{k} {v}" for k, v in spec.tools.items()))
    return plain_lines(lines)


def particulars(transform: Preprocess) -> str:
    """Describe what a training transform does differently from torchvision's, after a comma."""
    anchors = {"lower": "halves of the crop rounded down", "top_left": "at the top left"}
    parts = [
        f"longer side up to {transform.longest}" if transform.longest is not None else "",
        "" if transform.antialias is not False else "without antialiasing",
        anchors.get(transform.anchor or "", ""),
        f"padding {transform.fill}" if transform.fill is not None else "",
        f"scale {transform.scale:.6g}" if transform.scale != Preprocess.scale else "",
        f"channels {transform.channels}" if transform.channels else "",
    ]
    return "".join(f", {part}" for part in parts if part)


def _describe_selector(spec: Spec) -> str:
    if spec.score.kind == "similarity":
        about = f"float32 [N or 1, K, *{spec.score.output}], embeddings of texts"
        return f"input   {spec.score_weights}: {about} (must be fed)"
    if spec.score_weights:
        about = f"float32 [N or 1, K, *{spec.score.output}], the score is the inner product"
        return f"input   {spec.score_weights}: {about} (must be fed)"
    kind = "channels" if spec.score.kind == "channel" else "classes"
    return f"input   {spec.selector}: int64 [N or 1, K], {kind} by id or by rank (-1 is the best)"


def _formula(score: ScoreRecord) -> str:
    """Describe how an embedding is scored."""
    how = score.similarity
    assert how is not None
    bias = "" if how.bias is None else f" {'-' if how.bias < 0 else '+'} {abs(how.bias):.6g}"
    encoder = "" if how.text_encoder is None else f", text encoder {how.text_encoder[:12]}"
    return f" ({how.scale:.6g} * cosine{bias}{encoder})"


def counted(spec: Spec) -> str:
    """Describe the number of classes or channels, and their place in the output."""
    score = spec.score
    if score.kind == "similarity":
        return f"any texts, compared with {score.output}{_formula(score)}"
    if score.has_bank:
        return f"{score.classes} texts of a bank{_formula(score)}"
    if score.kind == "linear":
        return f"any weights of {score.output}"
    if score.kind == "channel":
        return f"{score.classes} channels of {spec.layers[0].name}"
    places = [
        f"along axis {score.class_axis}" if score.class_axis else "",
        f"after {score.class_offset} other entries" if score.class_offset else "",
    ]
    return " ".join([f"{score.classes} classes", *filter(None, places)])


def describe_explanation(
    path: Path, data: ExplanationData, saved: Sequence[Path], *, colour: bool = False
) -> str:
    """Describe an image's classes with score, probability, status and files.

    Args:
        path: The image.
        data: Its explanation.
        saved: The files that were written.
        colour: Show tokens in colours, as a terminal can; else with their values.
    """
    own = len(saved) == len(data.classes)  # one file for each class, or one for all
    heading = f"{path}" if data.method == "gradcam" else f"{path}  {data.method}"
    if data.answers:
        heading += f"  output {data.output_name}"
    lines = [plain(heading)]
    for position, found in enumerate(class_maps(data)):
        share = "" if found.probability is None else f"  p = {found.probability:.3f}"
        score = f"{found.score:.3f}" if math.isfinite(found.score) else "overflow"
        measured = "".join(
            f"  {name.replace('_', ' ')} {values[position]:.3g}"
            for name, values in data.measures.items()
        )
        target = f"  -> {saved[position]}" if own else ""
        state = STATES[found.status]
        line = f"  {found.label}  score {score}{share}{measured}{state}{target}"
        lines.append(plain(line))
        if isinstance(data.view, TextView) and found.status == "ok":
            values = data.heatmap(position)
            if colour:
                lines.append(data.view.coloured(values, data.palette(Look()), Look()))
            else:
                lines.append(data.view.numbered(values))
    others = [one.describe() for name, one in data.answers.items() if name != data.output_name]
    if others:
        shown = "; ".join(others)
        lines.append(plain(f"  other outputs: {shown} (explain one with --output NAME)"))
    return "\n".join([*lines, *([] if own else [plain(f"  -> {file}") for file in saved])])
