"""Labels and names of others reach a terminal, a page and a server's file without effect."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import pytest

from graftcam.runtime import Explainer
from graftcam.runtime.output.render.text import ascii_of
from support.artifacts import SCENE, spec, write_artifact
from support.cli import call, fail, succeed

HOSTILE = [
    "\x1b[2J\x1b]0;title\x07",
    "frog\nError: forged",
    "</figcaption></script><script>alert(1)</script>",
    "\u202egnp.exe\x9b31m",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact with hostile labels and names."""
    record = spec(labels=HOSTILE, source={"name": "nice\nscore   forged"})
    return write_artifact(tmp_path_factory.mktemp("hostile") / "m.onnx", record)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "a\nb\x1b[2J.png"
    try:
        path.write_bytes(cv2.imencode(".png", SCENE[:, :, ::-1])[1].tobytes())
    except OSError:
        pytest.skip("the file system takes no such names")
    return path


def is_plain(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


def test_explain_and_inspect_print_plain_lines(model: Path, image: Path, tmp_path: Path) -> None:
    found = succeed("explain", model, image, "-o", tmp_path / "out", "--top", 4)
    assert is_plain(found.output)
    lines = found.stdout.splitlines()
    assert len(lines) == 5
    assert lines[0].endswith("a\\nb\\x1b[2J.png")
    assert any("frog\\nError: forged" in line for line in lines)
    shown = succeed("inspect", model)
    assert is_plain(shown.output)
    assert [line for line in shown.stdout.splitlines() if line.startswith("score")] == [
        "score   logits (logit), 4 classes, softmax"
    ]


def test_errors_are_one_plain_line(model: Path, image: Path, tmp_path: Path) -> None:
    for arguments in (
        ("--class", "frog\nError: forget"),
        ("--layer", "no\x1b[2J\nlayer"),
        ("--input", "x\ny=3"),
    ):
        said = fail("explain", model, image, "-o", tmp_path / "out", *arguments)
        assert is_plain(said)
        assert said.count("\n") == 1
    usage = call("explain", model, image, "-o", tmp_path / "out", "--a\x07\nError: forged")
    assert usage.exit_code == 2
    assert is_plain(usage.stderr)
    assert "\nError: forged" not in usage.stderr


def test_json_has_the_labels_as_they_are(model: Path, image: Path, tmp_path: Path) -> None:
    rows = json.loads(succeed("explain", model, image, "-o", tmp_path, "--top", 4, "--json").stdout)
    assert {one["label"] for one in rows[0]["classes"]} == set(HOSTILE)
    assert rows[0]["image"] == str(image)


def test_a_page_shows_tags_as_text(model: Path, image: Path, tmp_path: Path) -> None:
    succeed("explain", model, image, "-o", tmp_path / "out", "--top", 4, "--format", "html")
    (page,) = (tmp_path / "out").iterdir()
    text = page.read_text("utf-8")
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert is_plain(text)


def test_the_labels_of_a_package_have_a_line_each(model: Path, tmp_path: Path) -> None:
    succeed("package", model, "--triton", "-o", tmp_path)
    (labels,) = tmp_path.rglob("labels.txt")
    lines = labels.read_text("utf-8").split("\n")
    assert len(lines) == len(HOSTILE) + 1
    assert lines[1] == "frog\\nError: forged"
    config = labels.with_name("config.pbtxt").read_text("utf-8")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", config)


def test_names_that_are_no_utf8_do_not_stop_a_command(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "c\udcff.png"
    try:
        path.write_bytes(cv2.imencode(".png", SCENE[:, :, ::-1])[1].tobytes())
    except (OSError, UnicodeError):
        pytest.skip("the file system takes no such names")
    for kind in ("png", "json", "html", "npy"):
        found = succeed("explain", model, path, "-o", tmp_path / kind, "--format", kind, "--json")
        row = json.loads(found.stdout)[0]
        assert row["image"].endswith("c\\udcff.png")
        json.dumps(row, ensure_ascii=False).encode()


def test_drawn_text_is_ascii_without_controls() -> None:
    assert ascii_of("a\x1b[2J\x00\x7f\ud800é") == "a?[2J???e"


def test_want_of_memory_is_one_line(
    model: Path, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise MemoryError("Unable to allocate 8 TiB\nfor an array")

    monkeypatch.setattr(Explainer, "compare", fails)
    said = fail("explain", model, image, "-o", tmp_path / "out")
    assert said == "Error: there is not enough memory: Unable to allocate 8 TiB\n"
