"""The report page: its content, that it needs no other files, and how a browser shows it."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest
import torch

from graftcam.demo.bundled import FOLDER, WEIGHTS
from graftcam.demo.data import LABELS
from graftcam.exporter import VerificationError, WriteError, export
from graftcam.runtime.spec import Preprocess
from support.browser import chromium, playwright
from support.cli import fail, succeed
from support.exports import to_onnx
from support.nets import Flat, Tiny, seeded
from support.paths import ROOT
from support.rules import louder
from support.three_heads import LABELS as HEAD_LABELS
from support.three_heads import OUTPUTS, PREPROCESS, ThreeHeads, export_heads

if TYPE_CHECKING:
    from playwright.sync_api import Page

SCHEMA = json.loads((ROOT / "docs/verification.schema.json").read_text())
EXAMPLE = (torch.zeros(1, 3, 8, 8),)
TRANSFORM = Preprocess("", [8, 8], None, "exact", "bilinear", 1 / 255, [0.5] * 3, [0.25] * 3)
DIGITS = [
    "export", "graftcam.demo.model:build", "--weights", WEIGHTS, "--shape", "3,96,96",
    "--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25",
]  # fmt: skip
NASTY = '<script>alert(1)</script> & "co"'


def test_the_page_and_its_json_hold_what_was_found(tmp_path: Path, image_folder: Path) -> None:
    labels = [NASTY, "\x1b[2J\u202eb\nc", *"cde"]
    export(
        seeded(Flat()), tmp_path / "m.onnx", EXAMPLE, labels=labels, preprocess=TRANSFORM,
        name="nets", images=image_folder, report=tmp_path / "report",
    )  # fmt: skip
    assert sorted(p.name for p in (tmp_path / "report").iterdir()) == ["index.html", "report.json"]
    html = (tmp_path / "report" / "index.html").read_text()
    assert "✓ Yes" in html
    assert "It predicts and explains as PyTorch does" in html
    assert NASTY not in html
    assert "&lt;script&gt;" in html
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", html)
    assert r"\x1b[2J\u202eb\nc" in html
    # Everything is inside: no address leads out of the page.
    assert set(re.findall(r'(?:src|href)="(\w+:)', html)) == {"data:"}
    assert "://" not in html
    data = json.loads((tmp_path / "report" / "report.json").read_text())
    jsonschema.validate(data, SCHEMA)
    assert data["verdict"] == "pass"
    assert data["inputs"]["given"] == 2
    assert data["export"]["layers"] == {"body.1": data["export"]["layers"]["body.1"]}


def test_a_failed_verification_leaves_a_page_that_says_why_and_no_artifact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    louder(monkeypatch, "Conv")
    with pytest.raises(VerificationError, match="gradients: error"):
        export(
            seeded(Tiny()), tmp_path / "m.onnx", EXAMPLE, layers="relu1", report=tmp_path / "report"
        )
    assert [p.name for p in tmp_path.iterdir()] == ["report"]
    html = (tmp_path / "report" / "index.html").read_text()
    assert "Why it may not ship" in html
    assert "✕ No" in html
    assert re.search(r"checks failed: gradients and heatmap\. It should hold that", html)
    assert re.search(r"the difference is 0.01, [\d,]{5,} times the bound of", html)
    # Red, and striped beyond the bound.
    assert html.count('<div class="track bad">') == 2
    assert html.count("<s style=") == 2
    data = json.loads((tmp_path / "report" / "report.json").read_text())
    jsonschema.validate(data, SCHEMA)
    assert data["verdict"] == "fail"


def test_an_unverified_export_says_so(tmp_path: Path) -> None:
    export(seeded(Tiny()), tmp_path / "m.onnx", EXAMPLE, verify="off", report=tmp_path / "report")
    assert "? Not checked" in (tmp_path / "report" / "index.html").read_text()
    data = json.loads((tmp_path / "report" / "report.json").read_text())
    jsonschema.validate(data, SCHEMA)
    assert data["verdict"] == "skipped"


def test_an_onnx_file_is_shown_beside_itself_unoptimised(
    tmp_path: Path, image_folder: Path
) -> None:
    plain = to_onnx(seeded(Flat()), tmp_path / "plain.onnx")
    export(
        plain, tmp_path / "m.onnx", preprocess=TRANSFORM, images=image_folder,
        report=tmp_path / "report",
    )  # fmt: skip
    assert "ONNX Runtime, unoptimised" in (tmp_path / "report" / "index.html").read_text()


@pytest.mark.parametrize("kind", ["file", "module"])
def test_each_of_several_outputs_is_shown(tmp_path: Path, image_folder: Path, kind: str) -> None:
    options = {"preprocess": PREPROCESS, "labels": HEAD_LABELS, "images": image_folder,
               "report": tmp_path / "report"}  # fmt: skip
    if kind == "file":
        export_heads(tmp_path / "m.onnx", **options)
    else:
        torch.manual_seed(0)
        export(ThreeHeads().eval(), tmp_path / "m.onnx", (torch.rand(1, 3, 12, 12),),
               output=OUTPUTS, layers="act", verify="off", **options)  # fmt: skip
    html = (tmp_path / "report" / "index.html").read_text()
    for name in OUTPUTS:
        assert html.count(f"· {name} ·") == len(list(image_folder.glob("*.png")))
        assert f"<dt>Classes of {name}</dt>" in html
    assert "more images were checked" not in html
    # The two maps of a row are one map: differences are those of rounding.
    shares = [float(one) for one in re.findall(r"difference: at most (\S+) of the maximum", html)]
    assert all(one < 1e-3 for one in shares)


def test_a_folder_that_cannot_be_written_stops_the_export_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WriteError, match=r"cannot write .*file/report: .*file is no folder"):
        export(seeded(Tiny()), tmp_path / "m.onnx", EXAMPLE, report=tmp_path / "file" / "report")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_images_that_cannot_be_read_are_reported(tmp_path: Path) -> None:
    bad = tmp_path / "broken"
    bad.mkdir()
    (bad / "a.png").write_text("no image")
    said = fail(
        *DIGITS, "-o", tmp_path / "m.onnx", "--images", bad, "--report", tmp_path / "report"
    )
    assert "a.png is no image that OpenCV can decode" in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["broken", "report"]
    assert "a.png is no image" in (tmp_path / "report" / "index.html").read_text()


SHOWN = {"x": 0, "y": 0, "width": 1180, "height": 1460}


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """The demo model's report, of two images."""
    labels, image_folder = tmp_path / "labels.txt", tmp_path / "images"
    labels.write_text("\n".join(LABELS))
    image_folder.mkdir()
    for name in ("digits1.png", "digits3.png"):
        shutil.copy(FOLDER / name, image_folder)
    succeed(
        *DIGITS, "--labels", labels, "--activation", "sigmoid", "-o", tmp_path / "digits.onnx",
        "--verify", "full", "--images", image_folder, "--report", tmp_path / "report",
    )  # fmt: skip
    return tmp_path / "report" / "index.html"


def test_a_browser_reads_the_page(report: Path, tmp_path: Path) -> None:
    """And takes the documents' image of it, into the folder that GRAFTCAM_SCREENSHOTS names."""
    folder = Path(os.environ.get("GRAFTCAM_SCREENSHOTS", tmp_path))
    with playwright() as driver, chromium(driver) as browser:
        page = browser.new_page(viewport={"width": 1180, "height": 900}, color_scheme="light")
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(request.url))
        page.goto(report.as_uri())
        _read(page)
        page.screenshot(path=folder / "report.png", clip=SHOWN, full_page=True)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert _contrast(page) > 125  # of 255: W3C's rule of thumb for legible text
        page.set_viewport_size({"width": 360, "height": 640})
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert complaints == []
    assert (folder / "report.png").stat().st_size > 20_000


def _read(page: Page) -> None:
    """Everything passed, and nothing is missing or sticks out."""
    assert page.inner_text("#verdict") == "✓ Yes"
    assert "Every check passed." in page.inner_text("#answer")
    assert page.locator("#failures").count() == 0
    assert set(page.locator("#checks .badge").all_inner_texts()) == {"✓ pass"}
    shown = page.locator("img")
    assert shown.count() == 2 * 4
    broken = "images => images.filter(one => !one.complete || !one.naturalWidth).length"
    assert shown.evaluate_all(broken) == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1180


def _contrast(page: Page) -> float:
    """Difference in brightness of text and ground, 0 to 255."""
    colours = (
        page.evaluate(f"getComputedStyle(document.body).{name}")
        for name in ("backgroundColor", "color")
    )
    ground, text = (_brightness(colour) for colour in colours)
    return abs(ground - text)


def _brightness(colour: str) -> float:
    red, green, blue = (int(part) for part in re.findall(r"\d+", colour)[:3])
    return (299 * red + 587 * green + 114 * blue) / 1000
