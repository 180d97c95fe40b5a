"""`graft` adds class selection, gradients and heatmaps to a captured graph, and records them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from ...runtime.inputs.preprocess_words import Unsized
from ...runtime.spec import (
    ATTENTION_VERSION,
    OUTPUTS_VERSION,
    SPEC_VERSION,
    Preprocess,
    ScoredOutput,
    Spec,
    Verification,
)
from ..capture.onnx_file import Captured
from ..differentiate.backward import differentiate
from ..differentiate.plan import Plan, plan, with_junctions
from ..errors import CaptureError, LayerError
from ..graph.emitter import Emitter, dims_of
from ..graph.openvino_workarounds import suit_openvino
from ..graph.precision import SINGLE
from ..graph.profiles import Profile
from ..graph.queries import ancestors
from ..graph.webgpu_workarounds import suit_webgpu
from ..heatmap.fullgrad import FULLGRAD
from ..heatmap.fused import FUSING
from ..heatmap.gradcam import publish
from ..heatmap.input_gradients import plan_image_walks
from ..locate.detectors.detection import LevelFound
from ..locate.instances import lay_out_instances
from ..locate.score import Located
from ..score.seed import cotangent_scale
from .bind_preprocess import bind
from .publish_attention import AttentionWanted, publish_attention
from .publish_layers import publish_layers
from .save import graph_hash, tool_versions
from .subject import subject_of, targets_of


@dataclass(frozen=True)
class Grafted:
    """What was added.

    Attributes:
        spec: The metadata, not verified yet.
        plan: What was differentiated.
        own_outputs: Names of the model's own outputs.
        nodes: Nodes of the model, and nodes added.
        count: K, int64 [1].
        scale: How much larger than the gradients float16 cotangents are; 1 without any.
        copied: Names of the weights of which added nodes read a copy.
    """

    spec: Spec
    plan: Plan
    own_outputs: list[str]
    nodes: tuple[int, int]
    count: ir.Value | None = None
    scale: float = 1.0
    copied: Sequence[str] = ()


def graft(
    captured: Captured,
    located: Sequence[Located],
    labels: Sequence[Sequence[str] | None],
    preprocess: Preprocess | Unsized | None,
    name: str | None,
    profile: Profile,
    walks: Sequence[str] = (),
    extras: Sequence[str] = (),
    levels: Sequence[LevelFound] = (),
    limit: float = math.inf,
    attention: AttentionWanted | None = None,
) -> Grafted:
    """Add class selection, gradients and heatmaps to the captured graph.

    Args:
        captured: The graph.
        located: Its score; several to explain several outputs.
        labels: Class names by id, of each.
        preprocess: The training transform.
        name: What the metadata calls the model.
        profile: What may be emitted.
        walks: Which outputs for the image's input, of `input_gradients.WALKS`.
        extras: Further maps, of `baked.FORMULAS` and `fused.FUSING`.
        levels: The target layers of a detector, in the order of the targets.
        limit: The largest scale of float16 cotangents; see `half_range`.
        attention: What is wanted of the model's attention.

    Raises:
        GraftcamError: Labels, transform, layers or operators do not fit.
    """
    detection = located[0].detection
    if detection is not None and labels[0] is None:
        labels = [detection.names]
    for names, one in zip(labels, located, strict=True):
        _check_labels(names, one)
    preprocess = bind(preprocess, captured.model.graph)
    model, graph = captured.model, captured.model.graph
    structure, weights = graph_hash(model)
    before, own_outputs = len(graph), [value.name or "" for value in graph.outputs]
    by_instance = lay_out_instances(graph, captured.targets)
    targets = targets_of(captured)
    emit = Emitter(graph, profile)
    subject = subject_of(emit, located, targets, levels)
    table = subject.table
    if len(subject.tables) > 1:
        _check_reached(graph, subject.tables, located, captured.targets)
    attended = [] if attention is None else attention.targets
    made = plan(graph, table, list(dict.fromkeys([*captured.targets.values(), *attended])))
    if subject.in_parts and profile.sizes_from_data:
        made = with_junctions(made)
    if detection is not None and FULLGRAD in walks:
        raise CaptureError(
            "fullgrad divides the score of a class, and a detector's boxes are explained at its "
            "layers; leave fullgrad out"
        )
    if detection is not None and (fusing := [extra for extra in extras if extra in FUSING]):
        raise CaptureError(
            f"the maps of a detector's levels are parts of one gradient, which its heatmap adds "
            f"up; leave {fusing[0]!r} out of extras"
        )
    image = plan_image_walks(graph, made, walks, preprocess) if walks else None
    made = made if image is None else image.plan
    scale = cotangent_scale(made.active, limit)
    given = set(graph.inputs)
    inputs, chosen = subject.select(scale)
    terms = None if image is None else image.terms(emit, scale)
    watch = None if terms is None else terms.watch
    cotangents = differentiate(emit, made, chosen.seed, watch=watch)
    batch = dims_of(table)[0]
    classes = None
    if chosen.classes is not None:
        classes = publish(emit, chosen.classes, "classes", [batch, "K"])
    summed = emit.cast(chosen.scores, SINGLE, "scores")
    scores = publish(emit, summed, "scores", [batch, "K"])
    gradients = [cotangents[target.value] / scale for target in targets]
    layers, fused = publish_layers(emit, targets, gradients, batch, extras, subject.method)
    layers = [
        replace(one, layout="instances") if one.name in by_instance else one for one in layers
    ]
    curved = any(one.score.kind in ("probability", "log_probability") for one in located)
    of_input = (
        {}
        if image is None
        else image.publish(emit, cotangents, chosen, scale, terms, curved_score=curved)
    )
    boxes = subject.publish(layers)
    blocks = None
    if attention is not None:
        blocks = publish_attention(emit, attention, cotangents, chosen.seed, scale, batch)
    emit.sweep()
    if profile.webgpu:
        suit_webgpu(graph, emit, [v for v in graph.inputs if v not in given])
    copied = [] if profile.shared_squares else suit_openvino(graph, emit)
    source = {"graph_sha256": structure, "weights_sha256": weights}
    if name:
        source["name"] = name
    scored = [
        ScoredOutput(
            subject.record(one.score, table, layers, boxes),
            None if names is None else list(names),
        )
        for one, table, names in zip(located, subject.tables, labels, strict=True)
    ]
    several = len(scored) > 1
    version = SPEC_VERSION if boxes is None and not several else OUTPUTS_VERSION
    spec = Spec(
        version if blocks is None else ATTENTION_VERSION,
        _name(inputs.class_index), classes, scores,
        scored[0].score, layers, scored[0].labels, preprocess, source, tool_versions(),
        Verification("skipped", "none"), _name(inputs.region),
        None if profile.name == "default" else profile.name,
        score_weights=_name(inputs.score_weights), detector=boxes,
        output_index=_name(inputs.output_index), outputs=scored if several else None,
        attention=blocks, fused=fused,
    )  # fmt: skip
    return Grafted(
        replace(spec, **of_input),
        made,
        own_outputs,
        (before, len(graph) - before),
        emit.classes_dim,
        scale,
        copied,
    )


def _name(value: ir.Value | None) -> str | None:
    return None if value is None else value.name


def _check_reached(
    graph: ir.Graph, tables: Sequence[ir.Value], located: Sequence[Located],
    targets: Mapping[str, ir.Value],
) -> None:  # fmt: skip
    """Refuse a layer that leads to some of the outputs only: its maps of the others are empty.

    Raises:
        LayerError: It is named, with the output.
    """
    for layer, target in targets.items():
        for table, one in zip(tables, located, strict=True):
            if target is not table and target not in ancestors(table):
                raise LayerError(
                    f"layer {layer!r} does not lead to output {one.score.output!r}; choose a layer "
                    "before the outputs part (`graftcam layers` with the same --output), or leave "
                    "that output out"
                )
            plan(graph, table, [target])  # refuses what has no gradient there


def _check_labels(labels: Sequence[str] | None, located: Located) -> None:
    if labels is not None and len(labels) != located.score.classes:
        of = f" of output {located.score.output!r}" if located.score.output else ""
        raise CaptureError(
            f"{len(labels)} labels for {located.score.classes} classes{of}; give one label a class"
        )
