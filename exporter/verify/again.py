"""This module exports the source again, and checks that it still gives the same bytes.

The metadata records the settings of the export. So the source is exported with them again,
unverified, and the two files are compared. An export that verifies itself has just run PyTorch's
exporter on the same module, and takes that part from there (`capture.programs`).
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import onnx

from ...runtime.custody.digests import DIGESTS_KEY
from ...runtime.errors import GraftcamError
from ...runtime.reading import file_sha256
from ...runtime.spec import METADATA_KEY, Spec, Verification
from ..artifact.bank_of import bank_of
from ..artifact.record import digest_with
from ..artifact.save import tool_versions
from ..graph.open_file import open_proto
from ..source.labels import Labels
from ..source.settings import ExportSettings
from .verdict.findings import Finding

if TYPE_CHECKING:
    from ..capture.model import Model

Examples: TypeAlias = Sequence[Any] | Mapping[str, Any] | None
# `pipeline.export_as`, which this step cannot import; it gives the report of the export.
Export: TypeAlias = Callable[[ExportSettings, Any, Path, Examples], Any]

_HASHES = {"graph_sha256": "graph", "weights_sha256": "weights"}


def check_again(
    artifact: Path, spec: Spec, model: Model, examples: Examples, export: Export
) -> list[Finding]:
    """Export the source again as the artifact was, and compare hashes and bytes.

    Args:
        artifact: The file.
        spec: Its metadata.
        model: The source, as `export` takes it.
        examples: Example inputs of a module.
        export: Exports a source, unverified, and returns the report.
    """
    settings = ExportSettings.of_spec(spec, bank_of(artifact, spec))
    if settings is None:
        reason = "the artifact does not record how it was exported; export it with this version"
        return [Finding(check, "", "skipped", reason=reason) for check in ("source", "determinism")]
    skipped = Finding("determinism", "", "skipped", reason="the source is another one")
    with tempfile.TemporaryDirectory(prefix="graftcam-") as folder:
        path = Path(folder) / artifact.name
        try:
            fresh: Spec = export(settings, model, path, examples).spec
        except GraftcamError as error:
            reason = f"the source cannot be exported as the artifact was: {error}"
            return [Finding("source", "", "fail", reason=reason), skipped]
        source = _compare_hashes(spec, fresh)
        failed = source.status == "fail"
        return [source, skipped if failed else _compare_bytes(artifact, path, spec, fresh)]


def check_labels(spec: Spec, labels: Labels) -> list[Finding]:
    """Compare the artifact's class names with the source's, for each of several outputs."""
    if spec.outputs is None:
        return [_compare_labels(spec, None if isinstance(labels, dict) else labels)]
    by_output = labels if isinstance(labels, dict) else {}
    return [
        replace(_compare_labels(one, by_output.get(one.score.output)), subject=one.score.output)
        for one in spec.by_output()
    ]


def _compare_labels(spec: Spec, labels: Sequence[str] | None) -> Finding:
    if labels is None or spec.labels is None:
        whose = "source" if labels is None else "artifact"
        return Finding("labels", "", "skipped", reason=f"the {whose} has no class names")
    pairs = enumerate(zip(spec.labels, labels, strict=False))
    wrong = [(k, have, want) for k, (have, want) in pairs if have != want]
    reason = ""
    if wrong:
        first, have, want = wrong[0]
        reason = (
            f"class {first} is {have!r} in the artifact and {want!r} in the "
            f"source ({len(wrong)} of {len(labels)} differ); give the right ones with --labels"
        )
    elif len(spec.labels) != len(labels):
        reason = f"{len(spec.labels)} labels, the source has {len(labels)}"
    return Finding("labels", "", "fail" if reason else "pass", reason=reason)


def _compare_hashes(spec: Spec, fresh: Spec) -> Finding:
    differing = [name for name in _HASHES if spec.source.get(name) != fresh.source[name]]
    if not differing:
        return Finding("source", "", "pass")
    if differing == ["graph_sha256"] and spec.tools != fresh.tools:
        return Finding("source", "graph", "skipped", reason=_tools(spec))
    reasons = [
        f"the {_HASHES[name]} of the source hash to {fresh.source[name][:12]}, the artifact was "
        f"made from {spec.source.get(name, 'nothing')[:12]}"
        for name in differing
    ]
    subject = " and ".join(_HASHES[name] for name in differing)
    return Finding("source", subject, "fail", reason="; ".join([*reasons, "export again"]))


def _tools(spec: Spec) -> str:
    """The packages that the artifact was written with in other versions than the installed ones."""
    here = tool_versions()
    differing = [
        f"{name} {spec.tools.get(name, 'missing')} (here {here.get(name, 'missing')})"
        for name in sorted({*spec.tools, *here})
        if spec.tools.get(name) != here.get(name)
    ]
    return f"the artifact was written with {', '.join(differing)}"


def _compare_bytes(artifact: Path, again: Path, spec: Spec, fresh: Spec) -> Finding:
    if spec.tools != fresh.tools:
        return Finding("determinism", "", "skipped", reason=_tools(spec))
    pairs = (artifact, spec), (again, fresh)
    as_they_are = {(digest_with(path, _unproven(one)), _beside(path)) for path, one in pairs}
    if len(as_they_are) == 1:
        return Finding("determinism", "", "pass")
    # Another program may have saved the artifact again, and written the same in another way.
    digests = [_digest(path, record) for path, record in pairs]
    if digests[0] == digests[1]:
        return Finding("determinism", "", "pass")
    part = "weights beside it" if digests[0][0] == digests[1][0] else "graph"
    reason = f"a second export of the same source gives other bytes, in the {part}"
    return Finding("determinism", part, "fail", reason=reason)


def _digest(path: Path, spec: Spec) -> tuple[str, str]:
    """SHA-256 of the graph, with no verdict in its record, and of the weights beside it."""
    model = open_proto(path)
    entries = {one.key: one.value for one in model.metadata_props} | {METADATA_KEY: _unproven(spec)}
    entries.pop(DIGESTS_KEY, None)  # it follows from the graph
    onnx.helper.set_model_props(model, entries)
    graph = hashlib.sha256(model.SerializeToString(deterministic=True))
    return graph.hexdigest(), _beside(path)


def _unproven(spec: Spec) -> str:
    """The record without a verdict."""
    return replace(spec, verification=Verification("skipped", "none")).to_json()


def _beside(path: Path) -> str:
    """SHA-256 of the weights beside a file; empty if there are none."""
    beside = path.with_name(f"{path.name}.data")
    return file_sha256(beside) if beside.is_file() else ""
