"""`graftcam verify`: good artifacts pass every check."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import onnx_ir as ir
import pytest
import torch
from torch import nn

from graftcam.exporter import TorchExport, VerificationError, export
from graftcam.exporter.release import verify_artifact
from graftcam.exporter.source.named import Source
from graftcam.exporter.verify.run_checks import Origin, run_checks
from graftcam.exporter.verify.verdict.findings import CHECKS
from graftcam.exporter.verify.verdict.report import to_json
from graftcam.runtime.custody.entries import read_spec
from support.exports import to_onnx
from support.nets import Dense, Ending, Flat, Tiny, Tokens, seeded
from support.nets_scores import Prior
from support.paths import ROOT

SCHEMA = json.loads((ROOT / "docs/verification.schema.json").read_text())
EXAMPLE = (torch.zeros(1, 3, 8, 8),)
LEVELS = {"all", "extended", "basic", "disable"}


INNER = {"layers": "body.0"}
FURTHER = ["layercam", "eigencam", "guided"]
# Models, and how they are exported; the last one as a file.
SUBJECTS: dict[str, tuple[nn.Module, dict[str, Any]]] = {
    "pool and linear": (Tiny(), {}),
    "gradient by place": (Flat(), INNER),
    "tokens": (Tokens(), {}),
    "softmax in the graph": (Ending(nn.Softmax(1)), {"layers": "relu1"}),
    "single logit": (Tiny(1), {}),
    "positions": (Dense(), {"layers": "act"}),
    "several layers": (Tiny(), {"layers": ["relu1", "relu2"]}),
    "float16": (Flat().half(), INNER),
    "fixed batch": (Flat(), {**INNER, "trace": TorchExport(dynamic_batch=False)}),
    "browser": (Flat(), {**INNER, "profile": "web"}),
    "further outputs": (Flat(), {**INNER, "extras": FURTHER}),
    "linear score": (Flat(), {**INNER, "score": "linear"}),
    "ONNX file": (Flat(), {}),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Source, Any]]:
    """Source and report of a subject, exported at first use."""

    @cache
    def exported(name: str) -> tuple[Source, Any]:
        (model, options), folder = SUBJECTS[name], tmp_path_factory.mktemp("subject")
        example = torch.zeros(1, 3, 8, 8, dtype=next(model.parameters()).dtype)
        source = Source(seeded(model), "nets", (example,))
        if name == "ONNX file":
            source = Source(to_onnx(model, folder / "plain.onnx", opset_version=18), "plain")
        settings = {"verify": "off", "name": "nets", **options}
        return source, export(source.model, folder / "m.onnx", source.inputs, **settings)

    return exported


@pytest.mark.parametrize("name", SUBJECTS)
def test_good_artifacts_pass_every_check(made: Callable[..., Any], name: str) -> None:
    source, report = made(name)
    file, module = (source.model, None) if name == "ONNX file" else (None, source.model)
    origin = Origin(ir.load(report.path), file, module, source.inputs)
    verdict = run_checks(report.path, origin, full=True)
    assert verdict.failures == []
    statuses = verdict.by_check()
    skipped = {name for name, status in statuses.items() if status == "skipped"}
    unasked = {"drop-in", "classes"} if report.spec.classes is None else set[str]()
    assert skipped == ({"drop-in"} if report.spec.profile == "web" else unasked)
    elsewhere = {"runs", "source", "labels", "determinism", "agreement", "boxes", "digests"}
    assert set(statuses) == set(CHECKS) - elsewhere
    for check in ("gradients", "outputs"):
        assert {one.level for one in verdict.findings if one.check == check} == LEVELS


@pytest.mark.parametrize("name", ["further outputs", "browser", "ONNX file"])
def test_the_same_source_gives_the_same_bytes(made: Callable[..., Any], name: str) -> None:
    source, report = made(name)
    spec, verdict = verify_artifact(report.path, source)
    assert verdict.failures == []
    assert verdict.by_check()["source"] == "pass"
    assert verdict.by_check()["determinism"] == "pass"
    jsonschema.validate(json.loads(to_json(report.path, spec, "nets", verdict)), SCHEMA)


@pytest.mark.parametrize("name", ["gradient by place", "positions", "tokens"])
def test_without_a_source_the_artifacts_own_forward_part_serves(
    made: Callable[..., Any], name: str
) -> None:
    _, verdict = verify_artifact(made(name)[1].path)
    assert verdict.failures == []
    assert verdict.reference == "finite-differences"
    assert verdict.by_check()["determinism"] == "skipped"
    assert verdict.by_check()["source"] == "skipped"


def test_maps_that_do_not_depend_on_the_image_are_not_exported(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match=r"layer 'layer' do not depend on the input") as e:
        export(seeded(Prior()), tmp_path / "m.onnx", EXAMPLE, layers="layer")
    assert "\n" not in str(e.value)
    assert list(tmp_path.iterdir()) == []


def test_the_record_holds_every_check_and_the_runtimes_version(tmp_path: Path) -> None:
    report = export(seeded(Tiny()), tmp_path / "m.onnx", EXAMPLE, verify="full")
    stored = read_spec(tmp_path / "m.onnx").verification
    assert stored == report.verification
    assert stored.checks["determinism"] == "pass"
    assert set(stored.checks.values()) == {"pass"}
    assert stored.onnxruntime
