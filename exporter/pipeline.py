"""export(): capture, locate, differentiate, combine, write, verify. The steps in order."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..runtime.spec import Preprocess, ScoreKind
from .artifact.embed_preprocess import check_embeddable, embed
from .artifact.graft import graft
from .artifact.head import Head, add_heads
from .artifact.save import save, staged, write_record
from .capture.onnx_file import Captured, capture_file, drop_metadata
from .errors import LayerError, ScoreError
from .graph.ort_workarounds import protect
from .graph.profiles import ProfileName, profile_of, remarks
from .heatmap.baked import check_methods
from .heatmap.input_gradients import unverified, walks_for
from .locate.candidate import Candidate
from .locate.layer import find_layer
from .locate.onnx_candidates import graph_candidates
from .locate.score import Activation, Located, channel_score, find_score
from .report.page.overlays import gallery
from .report.page.write import staged_folder, write_report
from .report.report import Report
from .source.preprocessing import Transform, as_preprocess, original_of
from .source.torch_module import module_of
from .verify.again import check_again
from .verify.gate import Origin, judge
from .verify.heads import write_heads
from .verify.inputs import read_pictures

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram

Progress = Callable[[str], None]


def export(
    model: torch.nn.Module | ExportedProgram | str | Path,
    path: str | Path,
    example_inputs: Sequence[Any] | None = None,
    *,
    layers: str | Sequence[str] | None = None,
    output: str | None = None,
    score: ScoreKind = "logit",
    activation: Activation | None = None,
    class_axis: int = 1,
    class_offset: int = 0,
    labels: Sequence[str] | None = None,
    preprocess: Preprocess | Any = None,
    opset: int = 18,
    dynamic_batch: bool = True,
    dynamic_size: bool = False,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    verify: bool | Literal["full"] = True,
    images: str | Path | None = None,
    report: str | Path | None = None,
    name: str | None = None,
    profile: ProfileName = "default",
    embed_preprocess: bool = False,
    input_gradients: bool = False,
    guided: bool = False,
    methods: str | Sequence[str] = (),
    head: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Write one ONNX graph that predicts and explains.

    Args:
        model: An ``nn.Module``, an ``ExportedProgram``, or the path of an ONNX file.
        path: Where the artifact goes. It appears whole and verified, or not at all.
        example_inputs: Inputs of the module's ``forward``; an ExportedProgram brings its own.
        layers: Target layers: module paths (or value or node names of an ONNX file). By default
            the last layer with spatial extent that the score's gradient reaches.
        output: Name of the scored output; by default the first of shape [batch, classes], else
            the first of shape [batch, classes, *positions].
        score: What is explained. ``logit``: the value before a trailing Softmax or Sigmoid;
            ``output``: after it; ``probability`` and ``log_probability``: what ``activation``
            makes of the logits; ``linear``: the inner product of the output, of any shape, with
            weights fed as `score_weights` (embeddings, contrasts, regression); ``channel``: the
            mean of a channel of the first of ``layers``.
        activation: What turns logits into probabilities, if not visible in the graph: softmax
            by default, sigmoid for multi-label models and single logits. With ``none`` a
            ``linear`` score takes the output as it is.
        class_axis: The axis of the scored output that the classes lie along; the others but the
            first are its positions.
        class_offset: Entries of that axis before the first class, such as a box's coordinates.
        labels: Class names by id.
        preprocess: The training transform, stored for the runtime: a `Preprocess`, a torchvision
            weights' ``transforms()``, or timm's data configuration.
        opset: ONNX opset, 18 or newer.
        dynamic_batch: Leave the batch axis open. (An ONNX file keeps the axes that it has.)
        dynamic_size: Leave the picture's height and width open, for models that take any size.
        input_names: Names for the inputs; the parameters of ``forward`` by default.
        output_names: Names for the outputs; by default the keys of a returned dict, else
            PyTorch's choice.
        verify: Compare with PyTorch autograd (or finite differences) before anything is written:
            at ONNX Runtime's default settings, or (``full``) as `graftcam verify` does, at every
            optimisation level, with several batch sizes and numbers of classes, and by a second
            export whose bytes must be the same.
        images: Folder of pictures to verify on beside random inputs, and to show in the report.
        report: Folder for a page to look at, ``index.html``, and ``report.json``; written even if
            the verification fails, to show why.
        name: What the metadata calls the model.
        profile: Where the artifact is to run: ``default`` anywhere; ``web`` with ONNX Runtime's
            JavaScript and WebGPU, where `class_index` and `region` must be fed; ``cuda`` where
            nothing may wait for the GPU, as CUDA's graph capture asks for. Numbers are the same.
        embed_preprocess: Put the training transform into the graph: its input then takes pictures
            as they are, uint8 RGB [N, height, width, 3] of any size, and is called ``pixels``.
        input_gradients: Also give the scores' gradient with respect to the picture's input, the
            output ``input_gradients``: for saliency, SmoothGrad, integrated gradients and the like.
        guided: Also give the results of guided backpropagation and of the deconvnet, which treat
            ReLUs otherwise: the outputs ``guided_gradients`` and ``deconvnet_gradients``, and
            ``input_gradients`` with them.
        methods: Further heatmaps to compute in the graph, by their ids in docs/methods.md, for
            callers in other languages; the runtime makes them of any artifact.
        head: Also write each layer's head, the model from the layer to the score, beside the
            artifact, for methods that rerun it: ``<stem>.head.onnx``, with several layers
            ``<stem>.head.<layer>.onnx``.
        progress: Called with the name of each step as it begins.

    Returns:
        What was chosen, added, measured and proven.

    Raises:
        GraftcamError: One of `CaptureError`, `LayerError`, `ScoreError`, `UnsupportedError`,
            `VerificationError`, `WriteError`; nothing has been written then.
    """
    original = original_of(preprocess)
    path, preprocess = Path(path), as_preprocess(preprocess)
    if embed_preprocess:
        check_embeddable(preprocess)
    chosen, baked = profile_of(profile), check_methods(methods)
    clock = _Clock(progress or (lambda _: None))
    wanted = [layers] if isinstance(layers, str) else list(layers or [])
    if len(set(wanted)) < len(wanted):
        raise LayerError(f"a layer is named twice: {wanted}")
    if score == "channel" and (output is not None or not wanted):
        raise ScoreError(
            "a channel score is one of a layer, not of an output; name the layer with `layers`"
        )
    if head and score in ("linear", "channel"):
        raise ScoreError(f"a {score} score has no head; export without `head`, or by class")
    with staged_folder(report) as page, staged(path) as place:
        captured, candidates = _capture(
            model, example_inputs, wanted, output, clock, opset, dynamic_batch, dynamic_size,
            input_names, output_names,
        )  # fmt: skip
        clock("differentiate")
        notes = captured.notes + protect(captured.model.graph)
        located = _locate(captured, score, output, activation, class_axis, class_offset)
        if not captured.targets:
            candidates = graph_candidates(captured.model.graph, located.value)
            best = _best(candidates).name
            captured.targets[best] = find_layer(captured.model.graph, best)
        reasons = _reasons(captured, candidates, wanted)
        notes += remarks(chosen, list(captured.model.graph))
        walks = walks_for(input_gradients=input_gradients, guided=guided)
        grafted = graft(captured, located, labels, preprocess, name, chosen, walks, baked)
        heads: list[Head] = []
        if head:
            spec, heads = add_heads(captured, located, grafted.spec, chosen, path)
            grafted = replace(grafted, spec=spec)
        if captured.module is None:
            notes += unverified(walks)
        else:
            from .verify.token_order import check_order

            check_order(captured.module, captured.inputs, grafted.spec.layers)
        spec = grafted.spec
        if embed_preprocess:
            clock("embed the preprocessing")
            spec = embed(captured.model, spec)
        clock("save")
        drop_metadata(captured.model.graph)
        size = save(captured.model, spec, place)
        origin, verdict, shown = _origin(captured, model, original), None, None
        pictures = None if images is None else read_pictures(Path(images), spec)
        if verify:
            full = verify == "full"
            verdict = judge(place, origin, full=full, pictures=pictures, progress=clock)
            if full:
                clock("export again")
                more = check_again(place, spec, model, example_inputs, export)
                verdict = replace(verdict, findings=[*verdict.findings, *more])
            spec = replace(spec, verification=verdict.record())
            size = write_record(spec, place)
        if page is not None and pictures is not None:
            clock("draw")
            shown = gallery(place, spec, origin, pictures)
        if heads and not (verdict and verdict.failures):
            clock("head")
            write_heads(heads, spec, captured, place, verify=bool(verify))
        clock.stop()
        result = Report(
            path,
            spec,
            reasons,
            candidates,
            dict(Counter(node.op_type for node in grafted.plan.nodes).most_common()),
            grafted.nodes,
            size,
            clock.seconds,
            spec.verification,
            notes,
            verdict,
        )
        if page is not None:
            write_report(page, place, result, shown)
        if verdict is not None:
            verdict.raise_on_failure()
    return result


def candidates_of(
    model: torch.nn.Module | ExportedProgram | str | Path,
    example_inputs: Sequence[Any] | None = None,
    *,
    output: str | None = None,
) -> list[Candidate]:
    """List the layers of a model that can be explained, the automatic choice first."""
    if isinstance(model, (str, Path)):
        graph = capture_file(Path(model), []).model.graph
        return graph_candidates(graph, find_score(graph, output=output).value)
    from .locate.torch_candidates import scan

    module, inputs = module_of(model, example_inputs)
    return scan(module, inputs, output=output)


class _Clock:
    """Times the steps and tells which one begins."""

    def __init__(self, progress: Progress) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress
        self._step, self._since = "", time.perf_counter()

    def __call__(self, step: str) -> None:
        self.stop()
        self._progress(step)
        self._step = step

    def stop(self) -> None:
        now = time.perf_counter()
        if self._step:
            self.seconds[self._step] = self.seconds.get(self._step, 0.0) + now - self._since
        self._step, self._since = "", now


def _capture(
    model: torch.nn.Module | ExportedProgram | str | Path,
    example_inputs: Sequence[Any] | None,
    wanted: Sequence[str],
    output: str | None,
    clock: _Clock,
    opset: int,
    dynamic_batch: bool,
    dynamic_size: bool,
    input_names: Sequence[str] | None,
    output_names: Sequence[str] | None,
) -> tuple[Captured, list[Candidate]]:
    if isinstance(model, (str, Path)):
        clock("capture")
        return capture_file(Path(model), wanted), []
    module, inputs = module_of(model, example_inputs)
    candidates: list[Candidate] = []
    if not wanted:
        from .locate.torch_candidates import scan

        clock("locate")
        candidates = scan(module, inputs, output=output, output_names=output_names)
        wanted = [_best(candidates).name]
    from .capture.torch_export import capture_module

    clock("capture")
    captured = capture_module(
        module, inputs, wanted, opset=opset, dynamic_batch=dynamic_batch, dynamic_size=dynamic_size,
        input_names=input_names, output_names=output_names,
    )  # fmt: skip
    return captured, candidates


def _locate(
    captured: Captured, kind: ScoreKind, output: str | None, activation: Activation | None,
    class_axis: int, class_offset: int,
) -> Located:  # fmt: skip
    if kind != "channel":
        return find_score(
            captured.model.graph, output=output, kind=kind, activation=activation,
            class_axis=class_axis, class_offset=class_offset,
        )  # fmt: skip
    layer, value = next(iter(captured.targets.items()))
    return channel_score(layer, value, captured.model.graph)


def _best(candidates: Sequence[Candidate]) -> Candidate:
    if not candidates or not candidates[0].usable:
        seen = "; ".join(f"{c.name}: {c.reason}" for c in candidates[:3]) or "none found"
        raise LayerError(f"no layer can be chosen automatically ({seen}); name one with `layers`")
    return candidates[0]


def _reasons(
    captured: Captured, candidates: Sequence[Candidate], wanted: Sequence[str]
) -> dict[str, str]:
    if wanted:
        return dict.fromkeys(wanted, "named by the user")
    return {name: f"automatic: last of {sum(c.usable for c in candidates)} usable layers: "
            f"{candidates[0].reason}" for name in captured.targets}  # fmt: skip


def _origin(captured: Captured, model: Any, transform: Transform | None) -> Origin:
    """What the artifact is held against: the module, or the file."""
    if captured.module is not None:
        return Origin(
            captured.model, module=captured.module, examples=captured.inputs, transform=transform
        )
    return Origin(captured.model, file=Path(model), transform=transform)
