"""This module verifies an existing artifact, with or without its source (`graftcam verify`)."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import onnx_ir as ir

from ..runtime.errors import GraftcamError
from ..runtime.inputs.bank import Bank
from ..runtime.limits import MAX_PIXELS
from ..runtime.session.contract import check_contract
from ..runtime.session.session import Session
from ..runtime.spec import METADATA_KEY, Spec
from ..runtime.tools.jobs.find import image_paths
from .artifact.bank_of import bank_of
from .artifact.strip import write_plain
from .artifact.subject import add_tables
from .capture.detectors import locate_detector
from .capture.layouts import settle_layouts
from .capture.model import locate_scores
from .capture.onnx_file import Captured, capture_file
from .capture.torchscript import file_of_script, is_script
from .clock import Progress
from .errors import VerificationError
from .graph.open_file import open_file
from .graph.ort_workarounds import protect
from .graph.queries import ancestors
from .graph.torch_notes import shares_by_default
from .locate.instances import lay_out_instances
from .pipeline import export_as
from .source.labels import Labels
from .source.named import Source
from .source.settings import ExportSettings
from .source.torch_module import module_of
from .verify.again import check_again, check_labels
from .verify.agreement import check_agreement
from .verify.checks.contract import check_metadata, ports_of
from .verify.checks.digests import check_digests
from .verify.run_checks import USUAL, Origin, run_checks
from .verify.runs.embedded import Embedded
from .verify.runs.inputs import read_images
from .verify.verdict.findings import Finding, Verdict, fails, not_made
from .verify.verdict.settings import Verify, checked


def verify_artifact(
    artifact: Path,
    source: Source | None = None,
    labels: Labels = None,
    images: Path | None = None,
    *,
    seconds: float | None = None,
    progress: Progress = lambda step: None,
    everything: bool = False,
    max_pixels: int = MAX_PIXELS,
    engine: str | None = None,
) -> tuple[Spec | None, Verdict]:
    """Run the checks until one fails; see `CHECKS`.

    Args:
        artifact: The file; it is read only.
        source: What it was made from; None: its own forward part.
        labels: Class names that it should have; of several outputs by the output's name.
        images: Folder of images to check on beside random inputs.
        seconds: How long the comparison works; see `Verify`.
        progress: Called with the name of each step as it begins.
        everything: Run every check, whatever fails.
        max_pixels: Number of pixels that an image may have.
        engine: What runs the artifact; see `Verify`.

    Returns:
        The record, if it can be read, and what was found.

    Raises:
        GraftcamError: The artifact or the images cannot be read, or do not fit each other.
    """
    if source is not None and is_script(source.model):
        trace = None if (known := _record(artifact)) is None else known.settings
        with file_of_script(source.model, source.inputs, trace and trace.trace) as script:
            source = replace(source, model=script or source.model, inputs=())
            return verify_artifact(
                artifact, source, labels, images, seconds=seconds, progress=progress,
                everything=everything, max_pixels=max_pixels, engine=engine,
            )  # fmt: skip
    settings = checked(Verify("full", seconds), engine)
    spec, custody = _record(artifact), check_digests(artifact)
    if fails(custody) and not everything:
        return spec, Verdict([*custody, *not_made(custody, USUAL)])
    if spec is not None and "precision" in spec.source:
        verdict = _of_shrunk(artifact, spec, source, images, max_pixels, engine)
        return spec, replace(verdict, findings=[*custody, *verdict.findings])
    given = None if images is None or spec is None else read_images(images, spec, max_pixels)
    more = custody
    taken: dict[str, float] = {}
    if spec is not None:
        since = time.perf_counter()
        if source is not None:
            progress("export again")
        more = [*custody, *_of_source(artifact, spec, source, labels)]
        taken = {"export again": time.perf_counter() - since}
        if fails(more) and not everything:
            return spec, Verdict([*more, *not_made(more, USUAL)], seconds=taken)
    with tempfile.TemporaryDirectory(prefix="graftcam-") as folder:
        # Numbers can be compared with a source that has the artifact's graph.
        faults = {one.subject for one in more if one.check == "source" and one.status == "fail"}
        origin = _origin(artifact, spec, None if faults - {"weights"} else source, Path(folder))
        verdict = run_checks(
            artifact,
            origin,
            full=True,
            given=given,
            deadline=settings.deadline(),
            progress=progress,
            everything=everything,
            engine=engine,
        )
    findings = [*verdict.findings, *more]
    return spec, replace(verdict, findings=findings, seconds={**verdict.seconds, **taken})


def input_shapes(file: Path) -> dict[str, list[int | None]]:
    """The shapes of the model's inputs without the batch axis; None where one is open.

    An image of any size gets the size that the training transform gives it.

    A single input goes without its name: a module may call it otherwise.

    Args:
        file: An artifact, or another ONNX file.
    """
    spec = _record(file)
    own = spec.own_inputs if spec else []
    graph = open_file(file).graph
    inputs = [v for v in graph.inputs if v.name not in own and v.name not in graph.initializers]
    shapes: dict[str, list[int | None]] = {}
    for value in inputs:
        extents = [] if value.shape is None else list(value.shape)[1:]
        shapes[value.name or ""] = [e if isinstance(e, int) else None for e in extents]
    transform = spec.preprocess if spec else None
    if spec and transform:
        channels, size = len(transform.mean), transform.size
        image = [channels, *size] if transform.layout == "nchw" else [*size, channels]
        if transform.embedded:
            del shapes[transform.input]
            shapes[(spec.settings and spec.settings.image_input) or ""] = [*image]
        elif None in shapes.get(transform.input, []):
            shapes[transform.input] = [*image]
    return dict(zip([""], shapes.values(), strict=True)) if len(shapes) == 1 else shapes


def scored_outputs(artifact: Path) -> Sequence[str | None]:
    """Names of the outputs that an artifact explains, if there are several; else a single None."""
    spec = _record(artifact)
    return [None] if spec is None or spec.outputs is None else spec.output_names


def _of_shrunk(
    artifact: Path, spec: Spec, source: Source | None, images: Path | None, max_pixels: int,
    engine: str | None,
) -> Verdict:  # fmt: skip
    """The checks of an artifact that was made smaller, which has no derivatives of its own."""
    original = None if source is None else source.model
    if not isinstance(original, Path) or images is None:
        raise VerificationError(
            f"{artifact.name} is a copy in {spec.source['precision']}; give the artifact that it "
            "was made from with --against, and images with --images"
        )
    _, findings = check_metadata(artifact, open_file(artifact))
    known = Session(original, "cpu").spec.source
    for part in ("graph", "weights"):
        same = spec.source.get(f"{part}_sha256") == known.get(f"{part}_sha256")
        reason = "" if same else f"{original.name} is not what {artifact.name} was made from"
        findings.append(Finding("source", part, "pass" if same else "fail", reason=reason))
    verdict = check_agreement(
        artifact, original, image_paths(images), max_pixels=max_pixels, engine=engine
    )
    return replace(verdict, findings=[*findings, *verdict.findings])


def _record(artifact: Path) -> Spec | None:
    """The metadata; None where they cannot be read, or are not those of the graph.

    The check of the metadata reports why.
    """
    model = open_file(artifact, VerificationError)
    text = model.metadata_props.get(METADATA_KEY)
    try:
        spec = Spec.from_json(text or "")
        check_contract(spec, ports_of(model.graph))
    except GraftcamError:
        return None
    return spec


def _origin(artifact: Path, spec: Spec | None, source: Source | None, folder: Path) -> Origin:
    """What the artifact is compared with: its source, or its own forward part."""
    own = open_file(artifact)
    if spec is None:
        return Origin(own)
    inside = Embedded.of(own, spec)
    if source is None:
        plain = folder / "plain.onnx"
        write_plain(artifact, plain)
        if inside is not None:
            ir.save(inside.model_behind(open_file(plain), spec), plain)
        return Origin(own, file=plain)
    if isinstance(source.model, Path):
        shapes = None if spec.settings is None else spec.settings.shapes
        captured = capture_file(source.model, [layer.name for layer in spec.layers], shapes)
        protect(captured.model.graph)
        lay_out_instances(captured.model.graph, captured.targets)
        for layer in spec.layers:  # in the artifact it may have its output's name
            captured.targets[layer.name].name = layer.value
        _add_tables(captured, spec, bank_of(artifact, spec))
        return Origin(captured.model, file=source.model, sharing=_sharing(captured, spec))
    module, inputs = module_of(source.model, source.inputs)
    return Origin(own, module=module, examples=inputs)


def _sharing(captured: Captured, spec: Spec) -> list[str]:
    """Names of the extremes between layers and scores that `Origin.sharing` is about."""
    graph, layers = captured.model.graph, {*captured.targets.values()}
    values = ir.convenience.create_value_mapping(graph, include_subgraphs=False)
    scores = [values[one.score.value] for one in spec.by_output() if one.score.value in values]
    needed = {value for score in scores for value in ancestors(score)}
    return [
        value.name or ""
        for node in filter(shares_by_default, graph)
        if (value := node.outputs[0]) in needed and layers & ancestors(value)
        and value.dtype is not None and value.dtype.is_floating_point()
    ]  # fmt: skip


def _add_tables(captured: Captured, spec: Spec, bank: Bank | None) -> None:
    """Add what an export adds to the source before the scores are differentiated.

    A table of boxes, for example, is no value of the model itself.
    """
    settings = ExportSettings.of_spec(spec, bank)
    values = ir.convenience.create_value_mapping(captured.model.graph, include_subgraphs=False)
    if settings is None or all(one.score.value in values for one in spec.by_output()):
        return
    settle_layouts(captured)
    detected = locate_detector(captured, settings)
    located = locate_scores(captured, settings) if detected is None else [detected]
    add_tables(captured, located, spec)


def _of_source(artifact: Path, spec: Spec, source: Source | None, labels: Labels) -> list[Finding]:
    """The checks that need the source itself."""
    if source is not None and labels is source.labels and spec.score.has_bank:
        labels = None  # the artifact's classes are the texts of its bank
    named = check_labels(spec, labels)
    if source is not None:
        return [*check_again(artifact, spec, source.model, source.inputs, export_as), *named]
    reason = "no source to compare with; give it with --against"
    first, last = (Finding(n, "", "skipped", reason=reason) for n in ("source", "determinism"))
    return [first, *named, last]
