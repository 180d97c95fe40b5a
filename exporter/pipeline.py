"""`export` does its steps in order: capture, locate, differentiate, combine, write, verify."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from ..runtime.inputs.bank import Bank
from ..runtime.settings import DetectorChoice, Score, ScoreKind, TorchExport
from ..runtime.spec import Preprocess
from ..runtime.writing import guard, protected, staged
from .arguments.consistency import check_images, profile_for
from .arguments.keywords import RecordFields, refuse_unknown, with_fields
from .arguments.settings import settings_of
from .artifact.embed_preprocess import embed
from .artifact.find_attention import find_attention
from .artifact.graft import graft
from .artifact.half_range import ScaleTooLargeError, check_scale
from .artifact.head import Head, add_heads
from .artifact.only_if_asked import run_only_if_asked
from .artifact.publish_attention import TENSORS, AttentionWanted, methods_of
from .artifact.save import save, size_of, write_record
from .capture.detectors import choose_levels, locate_detector
from .capture.layouts import settle_layouts
from .capture.model import capture, choose_layer, locate_scores, reasons_for, with_own_labels
from .capture.module_detector import capture_detector
from .capture.onnx_file import Captured, drop_metadata
from .capture.programs import Programs
from .capture.torchscript import NOTE, file_of_script
from .clock import Clock, Progress
from .errors import WriteError, errors_of_model
from .graph.check_weights import check_weights
from .graph.ort_workarounds import protect, shield_codes
from .graph.profiles import ProfileName, profile_of, remarks
from .graph.torch_notes import shares_by_default
from .heatmap.baked import FORMULAS
from .heatmap.fused import FUSING
from .heatmap.input_gradients import unverified, walks_for
from .locate.candidate import Candidate
from .locate.detectors.detection import LevelFound
from .locate.score import Located
from .places import check_places, files_read
from .report.known import Known, name_of
from .report.page.overlays import gallery
from .report.page.write import page_of_failure, write_report
from .report.report import Report
from .source.preprocessing import Transform, original_of
from .source.settings import ExportSettings
from .verify.again import check_again
from .verify.heads import write_heads
from .verify.run_checks import Origin, run_checks
from .verify.runs.inputs import read_images
from .verify.verdict.settings import OFF, Thoroughness, Verify, checked

if TYPE_CHECKING:
    from .capture.model import Model


@refuse_unknown
def export(
    model: Model,
    path: str | Path,
    example_inputs: Sequence[Any] | Mapping[str, Any] | None = None,
    *,
    layers: str | Sequence[str] | None = None,
    score: ScoreKind | Score = "logit",
    labels: Sequence[str] | Mapping[Any, Any] | str | Path | None = None,
    preprocess: Preprocess | Any = None,
    extras: str | Collection[str] = (),
    profile: ProfileName | None = None,
    trace: TorchExport | None = None,
    shapes: Mapping[str, Sequence[int | None]] | Sequence[int | None] | None = None,
    verify: Thoroughness | Verify | bool = "quick",
    images: str | Path | None = None,
    report: str | Path | None = None,
    name: str | None = None,
    detector: DetectorChoice | None = None,
    context: bool = False,
    bank: Bank | str | Path | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
    **given: Unpack[RecordFields],
) -> Report:
    """Write one ONNX graph that predicts and explains.

    Args:
        model: An ``nn.Module``, an ``ExportedProgram``, or the path of an ONNX file.
        path: Where the artifact goes. It appears whole and verified, or not at all, and replaces
            a file that is there, but none that the export reads.
        example_inputs: Inputs of the module's ``forward``: a tuple of positional arguments, a dict
            of keyword arguments, or a pair of both. An argument may be a tensor, a dict, list or
            tuple of tensors, which become inputs of the graph, or a constant. An ExportedProgram
            brings its own, and an ONNX file needs none.
        layers: Target layers: module paths (or value or node names of an ONNX file). By default
            the last layer with spatial extent that the score's gradient reaches. ``encoder#1`` is
            the first call of a module that is called several times (the last, without a number),
            ``stages.2[0]`` and ``backbone[feat]`` are tensors of one that returns several.
        score: What to explain: a kind, or a `Score` that also names the output, its activation and
            the axis of its classes. Several outputs, ``output=["gender", "age"]``: the artifact
            explains any of them.
        labels: Class names by id: a list; a dict by number (also Keras', and a model's ``names``
            or ``id2label``) or by name; or the file of one of them (JSON, or text with a name on
            each line). Of several outputs a dict of these by the output's name.
        preprocess: The training transform, stored for the runtime: a `Preprocess`; a Compose of
            torchvision's transforms (v1, v2 or timm's); a torchvision weights' ``transforms()``;
            timm's data configuration; an image processor of transformers; a path of its
            ``preprocessor_config.json``; ``package.module:name`` of one of these; or words:
            ``"imagenet"``, Keras' ``"torch"``, ``"tf"`` or ``"caffe"``, ``"unit"`` or ``"raw"``,
            with ``crop``, ``squash`` or ``letterbox=114``, ``bgr``, ``grey`` and a filter. A step
            that cannot be stored is refused by name.
        extras: What to add beside Grad-CAM, by name:

            - ``"head"``: each layer's head, the model from the layer to the score, beside the
              artifact, for methods that rerun it: ``<stem>.head.onnx``, with several layers
              ``<stem>.head.<layer>.onnx``;
            - ``"input_gradients"``: the scores' gradient with respect to the image's input, for
              saliency, SmoothGrad, integrated gradients and the like;
            - ``"guided"``: the results of guided backpropagation and of the deconvnet, the outputs
              ``guided_gradients`` and ``deconvnet_gradients``, and ``input_gradients`` with them;
            - ``"fullgrad"``: the map of FullGrad, of convolutional models: the output
              ``heatmap.fullgrad``, what it sums up to, and ``input_gradients`` with them;
            - ``"embed_preprocess"``: the training transform in the graph: its input then takes
              images as they are, uint8 RGB [N, height, width, 3] of any size, and is called
              ``pixels``;
            - a further heatmap in the graph by its id in docs/methods.md, such as ``"layercam"``,
              for callers in other languages; the runtime makes them of any artifact;
            - ``"fuse-refine"``, ``"fuse-mean"``, ``"fuse-max"``, ``"fuse-product"``: the LayerCAM
              maps of two or more layers in one, likewise.
        profile: Where the artifact is to run: ``default`` anywhere; ``web`` with ONNX Runtime's
            JavaScript and WebGPU, where `class_index` and `region` must be fed; ``openvino``
            likewise, and with weights of their own where OpenVINO confuses two that are one;
            ``cuda`` where nothing may wait for the GPU, as CUDA's graph capture requires. Numbers
            are the same. None: what ``engine`` needs, else the default.
        trace: How PyTorch exports the model; an ONNX file has its own opset, axes and names.
        shapes: Fixes open axes of an ONNX file's inputs: the first input's shape, or shapes by
            input. None leaves an axis as it is; the batch may be left out.
        verify: ``quick``: compare with PyTorch autograd (or finite differences) at ONNX Runtime's
            default settings before anything is written; ``full``: as `graftcam verify` does, at
            every optimisation level, with several batch sizes and numbers of classes, and by a
            second export whose bytes must be the same; ``off``: do not compare. A `Verify` also
            says how long it may take, 60 seconds by default, and what a partial proof is worth.
        images: Folder of images to verify on beside random inputs, and to show in the report.
        report: Folder for a page to look at, ``index.html``, and ``report.json``; written even if
            the export fails, to show why.
        name: What the metadata calls the model.
        detector: The format of a detector's outputs, where the graph does not show it: ``dense``,
            ``end_to_end``, ``queries``, ``levels``, ``centres`` or ``nms``; ``off`` takes a model
            for a classifier; ``before_nms`` explains all boxes of a torchvision module (FCOS,
            RetinaNet, SSD) that suppresses overlapping ones inside. See docs/detectors.md.
        context: Explain a detector at the layers of its backbone instead of its heads' inputs: maps
            then show what lies around an object as well.
        bank: Of a ``similarity`` score: the texts that become the classes of the artifact, a
            `runtime.inputs.bank.Bank` or the file that `graftcam prompts` wrote. None: texts are
            fed.
        engine: What will run the artifact, and is to verify it: ``"openvino"``, ``"webgpu"``,
            ``"web"`` and others of `runtime.session.engines.table`, or a provider of ONNX Runtime,
            such as ``"cuda"``. None: its CPU.
        progress: Called with the name of each step as it begins.
        **given: Fields of `Score` and `TorchExport`, as the command line takes them:
            ``class_axis=2`` stands for ``score=Score(class_axis=2)``.

    Returns:
        What was chosen, added, measured and proven.

    Raises:
        GraftcamError: One of `CaptureError`, `LayerError`, `ScoreError`, `SettingsError`,
            `UnsupportedError`, `VerificationError`, `WriteError`; nothing has been written then.
            An `UnprovenError` is a `VerificationError` of an artifact that may be right: the
            verification did not come to its end.
        TypeError: A keyword that there is not; the message says what to give.
    """
    folder = None if report is None else Path(report)
    inputs = files_read(model, labels, preprocess, images, bank, given.get("text_encoder"))
    check_places(Path(path), folder, inputs)
    known = Known(Path(path), str(name or name_of(model)), Clock(progress))
    with protected(inputs), page_of_failure(folder, known):
        score, trace = with_fields(score, trace, given)
        settings = settings_of(
            layers, score, labels, preprocess, extras, profile_for(profile, engine), trace, name,
            shapes, detector, context, bank,
        )  # fmt: skip
        checks = checked(verify, engine)
        if images is not None:
            used, file = checks != OFF or report is not None, isinstance(model, (str, Path))
            check_images(settings, used=used, may_follow=file)
        return export_as(
            settings, model, Path(path), example_inputs, transform=original_of(preprocess),
            verify=checks, images=None if images is None else Path(images), report=folder,
            known=known,
        )  # fmt: skip


def export_as(
    settings: ExportSettings,
    model: Model,
    path: Path,
    example_inputs: Sequence[Any] | Mapping[str, Any] | None,
    *,
    transform: Transform | None = None,
    verify: Verify = OFF,
    images: Path | None = None,
    report: Path | None = None,
    known: Known | None = None,
    programs: Programs | None = None,
) -> Report:
    """Do what `export` does, with its settings as a record.

    Args:
        settings: What decides the artifact's bytes.
        model: As for `export`, and so are all that are not here.
        path: Likewise.
        example_inputs: Likewise.
        transform: The training transform that the user gave, to verify the embedded one with.
        verify: How, and how long.
        images: Likewise.
        report: Likewise.
        known: Gets what is found out, step by step.
        programs: What PyTorch made of this source in an export before.
    """
    known = known or Known(path, settings.name or name_of(model), Clock(None))
    with file_of_script(model, example_inputs, settings.trace) as script:
        if script is not None:
            settings, model, example_inputs = replace(settings, trace=None), script, None
        limit = math.inf
        with errors_of_model(model):
            while True:
                try:
                    exported = _attempt(
                        settings, model, path, example_inputs, transform, verify, images, report,
                        known, programs, limit,
                    )  # fmt: skip
                    break
                except ScaleTooLargeError as error:  # gradients larger than most float16 models'
                    limit = error.fitting
        exported.notes.extend([] if script is None else [NOTE])
        return exported


def _attempt(
    settings: ExportSettings, model: Model, path: Path,
    example_inputs: Sequence[Any] | Mapping[str, Any] | None, transform: Transform | None,
    verify: Verify, images: Path | None, report: Path | None, known: Known,
    programs: Programs | None, limit: float,
) -> Report:  # fmt: skip
    """Export with float16 cotangents that are larger than gradients by ``limit`` at most.

    Raises:
        ScaleTooLargeError: Gradients exceed the range of float16 with this scale; nothing was
            written.
    """
    clock, profile, extras = known.clock, profile_of(settings.profile), settings.extras
    if verify.level == "full":
        programs = Programs()
    with ExitStack() as reading, staged(path.parent, WriteError, path, last=path.name) as folder:
        place = folder / path.name
        captured = capture_detector(model, example_inputs, settings, clock, programs)
        candidates = list[Candidate]()
        if captured is None:
            captured, candidates = capture(model, example_inputs, settings, clock, programs)
        reading.enter_context(protected(captured.files))
        guard(path, (), WriteError)
        known.candidates, known.notes = candidates, captured.notes
        clock("differentiate")
        graph = captured.model.graph
        check_weights(graph)
        settle_layouts(captured)
        detected, levels = locate_detector(captured, settings), list[LevelFound]()
        if detected is not None and detected.detection is not None:
            levels = choose_levels(captured, detected, context=settings.context)
            if detected.detection.transform is not None:
                settings = replace(settings, preprocess=detected.detection.transform)
        if images is not None:
            check_images(settings, used=verify != OFF or report is not None)
        located = locate_scores(captured, settings) if detected is None else [detected]
        known.score = "; ".join(one.reason for one in located)
        if not captured.targets:
            candidates = choose_layer(captured, located)
        automatic = bool(levels) and not settings.layers
        known.layers = reasons_for(captured, candidates, automatic=automatic)
        known.candidates = candidates
        if settings.labels is None and detected is None:
            settings = with_own_labels(settings, captured, located)
        # A detector is recognised in its first capture as well.
        known.notes = notes = [*dict.fromkeys(captured.notes), *protect(graph)]
        notes += remarks(profile, graph)
        attention = _attention_wanted(captured, located, extras)
        walks = walks_for(extras)
        grafted = graft(
            captured, located, settings.labels_of(), settings.preprocess, settings.name, profile,
            walks, [extra for extra in extras if extra in (*FORMULAS, *FUSING)], levels, limit,
            attention,
        )  # fmt: skip
        if grafted.copied:
            notes.append(
                f"profile {profile.name}: {len(grafted.copied)} square weights are read in both "
                "directions, and copied when the file is loaded"
            )
        spec, heads = replace(grafted.spec, settings=settings.record()), list[Head]()
        if "head" in extras:
            spec, heads = add_heads(captured, located, spec, profile, path, limit)
            for head in heads:
                guard(path.with_name(head.record.file), (), WriteError)
        if captured.module is None or captured.inputs is None:
            notes += unverified(walks)
        if "embed_preprocess" in extras:
            clock("embed the preprocessing")
            spec = embed(captured.model, spec)
        shield_codes(graph)
        if spec.detector is not None and profile.branches and grafted.count is not None:
            run_only_if_asked(graph, spec, grafted.count)
        if grafted.scale != 1.0 or limit < math.inf:
            clock("find the scale of gradients")
            check_scale(captured.model, spec, grafted.scale, captured.folder)
        clock("save")
        nodes = filter(shares_by_default, grafted.plan.nodes)
        sharing = [node.outputs[0].name or "" for node in nodes]
        drop_metadata(graph)
        size = save(captured.model, spec, place)
        # From here on only the record in the metadata changes: what is verified is what ships.
        verdict, shown = None, None
        file = Path(model) if isinstance(model, (str, Path)) else None
        examples = captured.inputs or ()
        origin = Origin(captured.model, file, captured.module, examples, transform, sharing)
        given = None if images is None else read_images(images, spec, verify.max_pixels)
        if verify != OFF:
            full, deadline = verify.level == "full", verify.deadline()
            verdict = run_checks(
                place, origin, full=full, given=given, deadline=deadline, progress=clock,
                engine=verify.engine,
            )  # fmt: skip
            if full and not verdict.failures:
                clock("export again")
                again = partial(export_as, programs=programs)
                more = check_again(place, spec, model, example_inputs, again)
                verdict = replace(verdict, findings=[*verdict.findings, *more])
            notes += verdict.remarks
            spec = replace(spec, verification=verdict.record())
            size = write_record(spec, place)
        if report is not None and given is not None:
            clock("draw")
            shown = gallery(place, spec, origin, given)
        if heads and not (verdict and verdict.failures):
            clock("head")
            write_heads(heads, spec, captured, place, verify=verify != OFF)
            size = size_of(place)
        clock.stop()
        result = Report(
            path,
            spec,
            known.layers,
            known.score,
            candidates,
            dict(Counter(node.op_type for node in grafted.plan.nodes).most_common()),
            grafted.nodes,
            size,
            clock.seconds,
            spec.verification,
            notes,
            verdict,
        )
        if report is not None:
            write_report(report, place, result, shown)
            known.reported = True
        if verdict is not None:
            verdict.raise_on_failure(partial=verify.partial)
    return result


def _attention_wanted(
    captured: Captured, located: Sequence[Located], extras: Collection[str]
) -> AttentionWanted | None:
    """What the extras want of the model's attention."""
    methods, tensors = methods_of(extras), TENSORS in extras
    if not methods and not tensors:
        return None
    wanted = AttentionWanted(find_attention(captured, located), methods, tensors)
    wanted.check()
    return wanted
