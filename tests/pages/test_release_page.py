"""`graftcam report`: the page of a release's models, JUnit XML, and records that are none."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import numpy as np
import pytest

from graftcam.exporter.report.answer import answer_of, sentence
from graftcam.exporter.report.junit import junit
from graftcam.exporter.report.page.scale import along, shaded, track
from graftcam.exporter.report.record import Record
from graftcam.exporter.verify.verdict.findings import Finding
from support.artifacts import write_artifact
from support.browser import chromium, playwright
from support.cli import call, fail, refuse, succeed

NASTY = '<script>alert(1)</script> & "co" \x1b[2J'
SHA = "0123456789abcdef" * 4


def entry(check: str, status: str, **more: Any) -> dict[str, Any]:
    empty = {"subject": "", "value": None, "threshold": None, "reason": "", "level": "all",
             "inputs": "random", "largest": None}  # fmt: skip
    return {"check": check, "status": status, **empty, **more}


GOOD = entry("outputs", "pass", subject="logits", value=2e-7, threshold=4e-6)
BAD = entry("gradients", "fail", subject="g", value=1e-2, threshold=4e-6, reason=NASTY)
WORSE = entry("heatmap", "fail", subject="h", threshold=4e-6, reason="not finite")
OPEN = entry("gradients", "unproven", reason="no time")
SKIPPED = entry("determinism", "skipped", reason="other versions")


def record(verdict: str, *checks: dict[str, Any], name: str | None = "net", **more: Any) -> Any:
    about = {"file": "net.onnx", "sha256": SHA, "bytes": 12_300_000, "name": name, "source": {}}
    return {
        "schema": 1, "verdict": verdict, "artifact": about, "against": None,
        "reference": "autograd-float64", "inputs": {"random": 4, "given": 1, "seed": 0},
        "versions": {}, "checks": list(checks), "seconds": {"verify": 1.5}, **more,
    }  # fmt: skip


ERROR = {"kind": "LayerError", "message": "no layer is called 'x'", "step": "locate"}
RELEASE = {
    "a": record("pass", GOOD, SKIPPED, name="alpha"),
    "b": record("fail", GOOD, BAD, WORSE, name="beta"),
    "c": record("unproven", GOOD, OPEN, name="gamma"),
    "d": record("error", name=NASTY, error=ERROR),
    "e": record("skipped", name=None),
}


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """Reports of five models, two of which have a page."""
    for name, data in RELEASE.items():
        folder = tmp_path / "dist" / f"{name}-report"
        folder.mkdir(parents=True)
        (folder / "report.json").write_text(json.dumps(data))
        if name in "ab":
            (folder / "index.html").write_text("the model's page")
    return tmp_path / "dist"


def test_the_answer_is_plain(release: Path) -> None:
    answers = {name: answer_of(Record.of(data)) for name, data in RELEASE.items()}
    assert {name: one.word for name, one in answers.items()} == {
        "a": "Yes", "b": "No", "c": "Not proven", "d": "No", "e": "Not checked",
    }  # fmt: skip
    assert answers["a"].why == (
        "It predicts and explains as PyTorch does, on 4 random inputs and 1 image. Every check "
        "that was made passed. Not checked: determinism."
    )
    assert answers["b"].why.startswith("2 checks failed: gradients and heatmap. It should hold")
    assert answers["c"].why == "No check failed, but a check could not be made: gradients."
    assert "no layer is called 'x'" in answers["d"].why
    assert sentence(Finding(**BAD)).endswith(
        "the difference is 0.01, 2,500 times the bound of 4.0e-06."
    )
    least = entry("agreement", "fail", subject="maps", value=0.5, threshold=0.9)
    assert sentence(Finding(**least)).endswith("the value is 0.5, where at least 0.9 is needed.")


def test_all_differences_have_one_scale() -> None:
    assert [along(number) for number in (0, 1e-12, 1e-9, 1e-6, 1, 5, float("inf"))] == [
        0, 0, 0, 33.3, 100, 100, 100,
    ]  # fmt: skip
    shown = track(Finding(**BAD))
    assert shown is not None
    assert (shown.value, shown.bound, shown.over) == (77.8, 40.0, 37.8)
    infinite = track(Finding(**WORSE))
    assert infinite is not None
    assert infinite.value == 100
    assert track(Finding(**entry("dependence", "pass", value=1, threshold=1e-5))) is None
    levels = shaded(np.array([[0, 1e-9, 1e-6, 1]], np.float32))[0, :, 0]
    assert levels.tolist() == [255, 255, 183, 40]


def test_a_release_has_one_page(release: Path, tmp_path: Path) -> None:
    result = call("report", release, "-o", release, "--junit", tmp_path / "junit.xml")
    assert result.exit_code == 1
    assert "May it ship? No. 1 of 5 models may ship." in result.stdout
    assert "beta failed. gamma is not proven. net.onnx was not checked." in result.stdout
    html = (release / "index.html").read_text("utf-8")
    assert "<script" not in html
    assert "\x1b" not in html
    rows = html.partition("<tbody>")[2]
    places = [rows.index(name) for name in ("alert(1)", ">beta<", "gamma", "net.onnx", ">alpha<")]
    assert places[:3] == sorted(places[:3]), "what may not ship comes first"
    assert places[-1] == max(places)
    assert 'href="a-report/index.html"' in html
    assert html.count("<a href") == 2
    # Again: the page replaces itself, and no record is touched.
    assert call("report", release, "-o", release).exit_code == 1
    assert json.loads((release / "a-report" / "report.json").read_text()) == RELEASE["a"]


@pytest.mark.parametrize(("names", "code"), [("a", 0), ("ac", 3), ("ae", 3), ("ab", 1), ("ad", 1)])
def test_the_exit_code_is_that_of_the_worst(release: Path, names: str, code: int) -> None:
    files = [release / f"{name}-report" / "report.json" for name in names]
    result = call("report", *files, "--junit", release / "junit.xml")
    assert result.exit_code == code, result.output


def test_junit_has_a_case_for_each_check() -> None:
    root = Xml.fromstring(junit([Record.of(data) for data in RELEASE.values()]))
    assert root.tag == "testsuites"
    counted = {name: root.get(name) for name in ("tests", "failures", "errors", "time")}
    assert counted == {"tests": "9", "failures": "2", "errors": "2", "time": "7.500"}
    allowed = {
        "testsuite": {"name", "tests", "failures", "errors", "skipped", "time"},
        "testcase": {"name", "classname", "time"},
        "failure": {"type", "message"}, "error": {"type", "message"}, "skipped": {"message"},
    }  # fmt: skip
    for suite in root:
        for one in suite.iter():
            assert set(one.attrib) == allowed[one.tag]
        for name, tag in (("tests", "testcase"), ("failures", "failure"), ("skipped", "skipped")):
            assert suite.get(name) == str(len(list(suite.iter(tag))))
    failure = root.find(".//testcase[@name='gradients g']/failure")
    assert failure is not None
    assert "2,500 times the bound" in failure.attrib["message"]
    assert failure.text == NASTY.replace("\x1b", r"\x1b")
    assert root.find(".//testcase[@name='gradients']/error[@type='unproven']") is not None
    assert root.find(".//testcase[@name='verification']/error[@type='export']") is not None


def test_verify_writes_junit(tmp_path: Path) -> None:
    """An artifact made by hand fails; the file says why, as the report in JSON does."""
    artifact = write_artifact(tmp_path / "m.onnx")
    call("verify", artifact, "--json", tmp_path / "v.json", "--junit", tmp_path / "j.xml")
    data = json.loads((tmp_path / "v.json").read_text())
    suite = Xml.fromstring((tmp_path / "j.xml").read_bytes())[0]
    assert suite.get("name") == "m.onnx"
    assert int(suite.get("tests", "0")) == len({(c["check"], c["subject"]) for c in data["checks"]})
    said = fail("verify", artifact, "--junit", artifact)
    assert "it is an input" in said
    assert call("report", tmp_path / "v.json", "-o", tmp_path / "out").exit_code in (0, 1, 3)
    assert (tmp_path / "out" / "index.html").exists()


WRONG = {
    "no JSON": ("{", "is no record of a verification"),
    "a list": ("[]", "it is no object"),
    "another record": ('{"schema": 1}', "it has no field 'verdict'"),
    "a later schema": (json.dumps({**RELEASE["a"], "schema": 2}), "its schema is 2, and 1 is"),
    "a verdict": (json.dumps({**RELEASE["a"], "verdict": "fine"}), "it has a wrong 'verdict'"),
    "a check": (json.dumps(record("pass", {**GOOD, "check": "luck"})), "has a wrong 'check'"),
    "a value": (json.dumps(record("pass", {**GOOD, "value": "1"})), "has a wrong 'value'"),
    "a field": (json.dumps(record("pass", {**GOOD, "x": 1})), "has an unknown field 'x'"),
    "no message": (json.dumps(record("error")), "error is no object"),
    "a number": ('{"schema": 1e999}', "is beyond all numbers of 64 bits"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_record_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    text, message = WRONG[name]
    file = tmp_path / "r.json"
    file.write_text(text)
    assert message in refuse("report", file, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_pages_records_and_empty_folders_are_left_alone(
    release: Path, tmp_path: Path
) -> None:
    assert "no page of `graftcam report`" in refuse("report", release, "-o", release / "a-report")
    (tmp_path / "empty").mkdir()
    assert "have no report.json" in refuse("report", tmp_path / "empty", "-o", tmp_path / "x")
    file = release / "a-report" / "report.json"
    assert "it is an input" in refuse("report", release, "--junit", file)
    assert "cannot read" in refuse("report", tmp_path / "none.json", "-o", tmp_path / "x")
    assert "give -o DIR for a page" in fail("report", release, code=2)
    assert not (tmp_path / "x").exists()


def test_a_browser_shows_the_release(release: Path, tmp_path: Path) -> None:
    """Light, dark and on a phone; GRAFTCAM_SCREENSHOTS names a folder for the pictures."""
    call("report", release, "-o", release)
    folder = Path(os.environ.get("GRAFTCAM_SCREENSHOTS", tmp_path))
    with playwright() as driver, chromium(driver) as browser:
        page = browser.new_page(viewport={"width": 1180, "height": 700}, color_scheme="light")
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.goto((release / "index.html").as_uri())
        assert page.inner_text("#verdict") == "✕ No"
        assert page.locator("tr.bad").count() == 2
        assert page.locator(".track s").count() == 1
        over = page.locator("tr.bad .track s").bounding_box()
        bound = page.locator("tr.bad .track u").bounding_box()
        assert over is not None
        assert bound is not None
        assert over["width"] > 20
        assert abs(over["x"] - bound["x"]) <= 1
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=folder / f"release-{scheme}.png", full_page=True)
        page.set_viewport_size({"width": 360, "height": 640})
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.screenshot(path=folder / "release-phone.png", full_page=True)
        assert complaints == []
    succeed("report", "--help")
