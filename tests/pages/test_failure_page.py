"""An export that fails before its verification has a report of what is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch

from graftcam.exporter import CaptureError, LayerError, UnsupportedError, WriteError, export
from graftcam.runtime.errors import GraftcamError
from support.browser import chromium, playwright
from support.exports import to_onnx
from support.nets import Tiny, Undecided, seeded
from support.paths import ROOT

SCHEMA = json.loads((ROOT / "docs/verification.schema.json").read_text())
EXAMPLE = (torch.zeros(1, 3, 8, 8),)


def failed(folder: Path, kind: type[Exception], *arguments: Any, **options: Any) -> dict[str, Any]:
    """Export what fails with an error of ``kind``; the report, whose page says the same."""
    with pytest.raises(kind) as caught:
        export(arguments[0], folder / "m.onnx", *arguments[1:], report=folder / "report", **options)
    assert not (folder / "m.onnx").exists()
    page = (folder / "report" / "index.html").read_text()
    data = json.loads((folder / "report" / "report.json").read_text())
    jsonschema.validate(data, SCHEMA)
    assert data["verdict"] == "error"
    assert data["artifact"]["file"] == "m.onnx"
    assert data["error"]["kind"] == type(caught.value).__name__
    assert str(caught.value) in data["error"]["message"]
    assert "Nothing was written: the export failed" in page
    assert "Why nothing was written" in page
    return {**data, "page": page}


def test_a_failure_to_capture_tells_source_step_and_time(tmp_path: Path) -> None:
    plain = to_onnx(seeded(Tiny()), tmp_path / "plain.onnx")
    plain.write_bytes(plain.read_bytes()[:-100])
    data = failed(tmp_path, CaptureError, plain, name="the source")
    assert "cannot read plain.onnx as ONNX" in data["error"]["message"]
    assert data["error"]["step"] == "capture"
    assert data["seconds"].keys() == {"capture"}
    assert data["artifact"]["name"] == "the source"
    assert "<h1>the source</h1>" in data["page"]
    assert 'id="layers"' not in data["page"]


def test_a_failure_to_choose_a_layer_lists_the_candidates(tmp_path: Path) -> None:
    model = seeded(Tiny())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()  # so that no layer has a gradient
    data = failed(tmp_path, LayerError, model, EXAMPLE)
    names = [one["name"] for one in data["export"]["candidates"]]
    assert {"relu1", "relu2"} <= {*names}
    assert all(f"<code>{name}</code>" in data["page"] for name in names)


def test_a_failure_to_differentiate_tells_the_layer_and_each_obstacle(tmp_path: Path) -> None:
    data = failed(tmp_path, UnsupportedError, seeded(Undecided()), EXAMPLE, layers="stem")
    assert data["error"]["step"] == "differentiate"
    assert data["export"]["layers"] == {"stem": "named by the user"}
    assert data["export"]["score"]
    assert data["page"].count("<p>  ") == len(data["error"]["message"].splitlines()) - 1 > 1


def test_a_torchscript_that_pytorch_cannot_export_has_a_report(tmp_path: Path) -> None:
    script = torch.jit.script(seeded(Tiny()))
    data = failed(tmp_path, CaptureError, script)  # without example inputs
    assert "example_inputs are missing" in data["error"]["message"]


def test_a_fault_of_ours_has_a_report_and_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a <fault>")

    monkeypatch.setattr("graftcam.exporter.pipeline.graft", fault)
    data = failed(tmp_path, ZeroDivisionError, seeded(Tiny()), EXAMPLE)
    assert data["error"]["message"] == "ZeroDivisionError: a <fault>"
    assert "ZeroDivisionError: a &lt;fault&gt;" in data["page"]


@pytest.mark.parametrize(
    ("kind", "value", "verdict"),
    # A NaN is found in the graph; what an infinite weight does is found by its first run.
    [("file", float("nan"), "error"), ("module", float("inf"), "unproven")],
)
def test_weights_that_are_no_numbers_fail_in_one_line_with_a_report(
    tmp_path: Path, kind: str, value: float, verdict: str
) -> None:
    model = seeded(Tiny())
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] = value
    source = to_onnx(model, tmp_path / "plain.onnx") if kind == "file" else model
    with pytest.raises(GraftcamError) as caught:
        export(source, tmp_path / "m.onnx", None if kind == "file" else EXAMPLE,
               report=tmp_path / "report")  # fmt: skip
    assert "\n" not in str(caught.value)
    data = json.loads((tmp_path / "report" / "report.json").read_text())
    jsonschema.validate(data, SCHEMA)
    assert data["verdict"] == verdict
    assert not (tmp_path / "m.onnx").exists()


def test_an_artifact_that_cannot_be_moved_is_not_reported_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace

    def full(path: Path, target: Path) -> Path:
        if target.name == "m.onnx":
            raise OSError(28, "No space left on device")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", full)
    data = failed(tmp_path, WriteError, seeded(Tiny()), EXAMPLE, layers="relu1", verify="off")
    assert "No space left on device" in data["error"]["message"]


def test_a_full_disk_leaves_no_page_and_its_own_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(WriteError, match=r"cannot write the report to .*: No space left on device"):
        export(seeded(Tiny()), tmp_path / "m.onnx", EXAMPLE, layers="relu1", verify="off",
               report=tmp_path / "report")  # fmt: skip
    with pytest.raises(LayerError, match="nothing"):
        export(seeded(Tiny()), tmp_path / "m.onnx", EXAMPLE, layers="nothing",
               report=tmp_path / "report")  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_a_browser_shows_the_page(tmp_path: Path) -> None:
    failed(tmp_path, UnsupportedError, seeded(Undecided()), EXAMPLE, layers="stem")
    with playwright() as driver, chromium(driver) as browser:
        page = browser.new_page(viewport={"width": 1180, "height": 900}, color_scheme="light")
        page.goto((tmp_path / "report" / "index.html").as_uri())
        assert page.inner_text("#verdict") == "✕ No"
        assert "Unique" in page.inner_text("#message")
        page.set_viewport_size({"width": 360, "height": 640})
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
