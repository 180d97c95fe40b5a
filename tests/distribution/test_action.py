"""The GitHub Action in examples/ci exports, verifies, and comments a release's report once."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml

from support.artifacts import averaging
from support.cli import call
from support.images import images, write_images
from support.onnx_bytes import onnx_model
from support.paths import ROOT

FOLDER = ROOT / "examples" / "ci"
ACTION = yaml.safe_load((FOLDER / "action.yml").read_text("utf-8"))
WORKFLOW = yaml.safe_load((FOLDER / "graftcam.yml").read_text("utf-8"))
MODEL = """<ir_version: 8, opset_import: ["" : 18]>
patches (float[N, 3, 16, 16] image) => (float[N, 4] logits)
{
    sums = Conv <strides = [4, 4]> (image, kernel)
    cells = Relu(sums)
    pooled = GlobalAveragePool(cells)
    flat = Flatten(pooled)
    logits = Gemm <transB = 1> (flat, weights)
}"""
RELEASE = """
[first]
source = "plain.onnx"
to = "dist/first.onnx"
preprocess = "unit,squash"

[second]
source = "{source}"
to = "dist/second.onnx"
"""


def test_the_action_uses_no_action_of_others_and_puts_nothing_of_others_into_a_shell() -> None:
    steps = [*ACTION["runs"]["steps"], *WORKFLOW["jobs"]["release"]["steps"]]
    used = [step["uses"] for step in steps if "uses" in step]
    assert used[-1] == "./.github/actions/graftcam"
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", one) for one in used[:-1])
    for step in steps:
        assert "${{" not in step.get("run", "")
        assert "run" not in step or step["shell"] == "bash"
    checkout = WORKFLOW["jobs"]["release"]["steps"][0]
    assert checkout["with"]["persist-credentials"] is False
    assert WORKFLOW["permissions"] == {"contents": "read", "pull-requests": "write"}


def test_its_inputs_are_used_and_its_files_are_there() -> None:
    text = (FOLDER / "action.yml").read_text("utf-8")
    for name, about in ACTION["inputs"].items():
        assert about["description"]
        assert f"inputs.{name}" in text, name
    given = WORKFLOW["jobs"]["release"]["steps"][-1]["with"]
    assert set(given) <= set(ACTION["inputs"])
    for script in re.findall(r"GITHUB_ACTION_PATH/([\w.]+)", text):
        assert (FOLDER / script).is_file()
    assert set(ACTION["outputs"]) == {"report"}


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, whose commands run in this process, in a repository with a model."""
    spec = importlib.util.spec_from_file_location("ci_report", FOLDER / "report.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        done = call(*arguments)
        return subprocess.CompletedProcess([], done.exit_code, done.stdout, done.stderr)

    monkeypatch.setattr(module, "_graftcam", run)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("GITHUB_")]:
        monkeypatch.delenv(name)
    matrix = [[4.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 2.0], [-1.0, -1.0, -1.0]]
    constants = {"kernel": averaging(4), "weights": np.asarray(matrix, np.float32)}
    Path("plain.onnx").write_bytes(onnx_model(MODEL, constants))
    write_images(tmp_path / "images", images(2, 16, 16))
    return module


def write(report: ModuleType, source: str, *more: str) -> tuple[int, str]:
    Path("release.toml").write_text(RELEASE.format(source=source))
    sys.argv[1:] = ["--config", "release.toml", *more]
    code = report.main()
    return code, Path("release-report/report.md").read_text("utf-8")


@pytest.fixture(autouse=True)
def _own_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["report.py"])


def test_a_release_that_may_ship(report: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    for name, value in (("SERVER_URL", "https://github.com"), ("REPOSITORY", "a/b"),
                        ("RUN_ID", "7")):  # fmt: skip
        monkeypatch.setenv(f"GITHUB_{name}", value)
    monkeypatch.setenv("GRAFTCAM_COMMIT", "0123456789abcdef")
    code, text = write(report, "plain.onnx", "--images", "", "--previous", "")
    assert code == 0
    lines = text.splitlines()
    assert lines[0] == report.MARKER
    assert lines[1] == "## graftcam: 2 models, may ship"
    assert lines[3] == "| model | verdict | gradients differ by | reference | MB |"
    assert re.fullmatch(
        r"\| first \| may ship \| \d\.\de-\d\d \| finite-differences \| 0\.0 \|", lines[5]
    )
    assert lines[-1] == (
        "Commit 0123456789. [Verdicts, maps and artifacts](https://github.com/a/b/actions/runs/7)"
    )
    assert Path("summary.md").read_text("utf-8") == text.partition("\n")[2]
    verdict = json.loads(Path("release-report/verdicts/first.json").read_text("utf-8"))
    assert verdict["verdict"] == "pass"


def test_maps_are_written_and_compared_with_the_last_release(report: ModuleType) -> None:
    write(report, "plain.onnx")
    Path("dist").rename("last")
    Path("release.lock.json").unlink()
    code, text = write(report, "plain.onnx", "--images", "images", "--previous", "last")
    assert "| maps similar | same prediction |" in text
    (first,) = [line for line in text.splitlines() if line.startswith("| first |")]
    assert first.endswith("| 1.000 | 100.0% |")
    assert Path("release-report/maps/first/overlays").is_dir()
    assert Path("release-report/diff/first/diff.json").is_file()
    # The second model stores no preprocessing: its images are read as they are, or not at all.
    assert code in (0, 1)


def test_a_model_that_may_not_ship_says_why(report: ModuleType) -> None:
    code, text = write(report, "no-such.onnx")
    assert code == 1
    assert "## graftcam: 2 models, 1 may not ship" in text
    assert "| second | **may not ship** |" in text
    assert "- no file " in text
    assert "no-such.onnx" in text


def test_so_does_a_release_file_that_cannot_be_read(report: ModuleType) -> None:
    Path("wrong.toml").write_text("[")
    sys.argv[1:] = ["--config", "wrong.toml"]
    assert report.main() == 1
    assert "cannot read wrong.toml" in Path("release-report/report.md").read_text("utf-8")


def test_a_changed_artifact_is_found(report: ModuleType) -> None:
    write(report, "plain.onnx")
    whole = report._graftcam

    def breaks(*arguments: Any) -> Any:
        done = whole(*arguments)
        if arguments[0] == "export":
            Path("dist/first.onnx").write_bytes(Path("dist/first.onnx").read_bytes()[:-9])
        return done

    report._graftcam = breaks  # pyright: ignore[reportAttributeAccessIssue]
    code, text = write(report, "plain.onnx")
    assert code == 1
    assert "| first | **may not ship** |" in text
    assert "it ends within a field" in text


def test_names_of_others_are_no_markup(report: ModuleType) -> None:
    plain: Callable[[object], str] = report._plain
    assert plain("a|b\n*c* <img src=x> @team `d` [e](f)") == (
        r"a\|b \*c\* &lt;img src=x&gt; @&#8203;team \`d\` \[e\](f)"
    )
    models = [
        {"model": f"m{n}", "verdict": "unproven", "reasons": ["x" * 900] * 30} for n in range(9)
    ]
    text = report._report(models)
    assert len(text) < 65_536
    assert "9 not proven" in text


GH = """#!/bin/sh
printf '%s\\n' "$*" >> calls.txt
[ "$BROKEN" ] && { echo "HTTP 403: Resource not accessible by integration" >&2; exit 1; }
case "$*" in *--paginate*) printf '%s' "$FOUND" ;; esac
exit 0
"""


def comment(folder: Path, **environment: str) -> tuple[str, list[str]]:
    tool = folder / "bin" / "gh"
    tool.parent.mkdir(exist_ok=True)
    tool.write_text(GH)
    tool.chmod(0o755)
    (folder / "calls.txt").write_text("")
    (folder / "report.md").write_text("<!-- graftcam-report -->\n## graftcam\n")
    done = subprocess.run(
        ["sh", str(FOLDER / "comment.sh"), "12", "report.md"], cwd=folder, check=False,
        capture_output=True, text=True,
        env={"PATH": f"{tool.parent}:{os.environ['PATH']}", "GITHUB_REPOSITORY": "a/b",
             "BROKEN": "", "FOUND": "", **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout, (folder / "calls.txt").read_text().splitlines()


@pytest.mark.skipif(os.name == "nt", reason="needs sh")
def test_there_is_one_comment_which_is_renewed(tmp_path: Path) -> None:
    said, calls = comment(tmp_path)
    assert said == "wrote a comment\n"
    assert calls[0].startswith("api --paginate repos/a/b/issues/12/comments --jq ")
    assert 'startswith("<!-- graftcam-report -->")' in calls[0]
    assert calls[1] == (
        "api --silent --method POST repos/a/b/issues/12/comments --field body=@report.md"
    )
    said, calls = comment(tmp_path, FOUND="501\n777\n")
    assert said == "renewed comment 501\n"
    assert calls[1] == (
        "api --silent --method PATCH repos/a/b/issues/comments/501 --field body=@report.md"
    )
    assert len(calls) == 2


@pytest.mark.skipif(os.name == "nt", reason="needs sh")
def test_a_token_that_may_only_read_fails_no_run(tmp_path: Path) -> None:
    said, _ = comment(tmp_path, BROKEN="1")
    assert said.startswith("::notice::the report is no comment (comments cannot be read); it is in")
