"""Two releases of a model: do they look at the same place?"""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from graftcam.demo.bundled import FOLDER, images
from graftcam.exporter import Score
from graftcam.runtime import Explainer
from graftcam.runtime.tools.diff import Change, Comparison, Pair, overlap, shift, similarity
from support import cli
from support.exports import export_demo, exported_digits

PATHS = [image.path for image in images()]


@pytest.fixture(scope="module")
def release() -> Path:
    return exported_digits()


@pytest.fixture(scope="module")
def untrained(tmp_path_factory) -> Path:
    """The same architecture, labels and transform with other weights."""
    path = tmp_path_factory.mktemp("untrained") / "untrained.onnx"
    return export_demo(path, trained=False, score=Score(activation="sigmoid"))


call = partial(cli.call, "diff")


def square(row: int, column: int) -> np.ndarray:
    heat = np.zeros((20, 30), np.float32)
    heat[row : row + 5, column : column + 5] = 1
    heat[row + 2, column + 2] = 2
    return heat


def test_maps_that_are_equal_or_apart():
    one, other = square(2, 2), square(12, 20)
    assert similarity(one, one) == pytest.approx(1)
    assert similarity(one, 3 * one) == pytest.approx(1)
    assert similarity(one, other) == 0
    assert overlap(one, one) == 1
    assert overlap(one, other) == 0
    assert shift(one, one) == 0
    assert shift(one, other) == pytest.approx(np.hypot(10, 18) / np.hypot(20, 30))


def test_empty_maps_agree_with_each_other_only():
    none = np.zeros((20, 30), np.float32)
    assert similarity(none, none) == 1
    assert similarity(none, square(2, 2)) == 0
    assert overlap(none, none) == 1
    assert overlap(none, square(2, 2)) == 0
    assert shift(none, square(2, 2)) is None


def test_a_release_agrees_with_itself(release):
    found = Pair(Explainer(release), Explainer(release)).compare(PATHS)
    assert found.similarity == pytest.approx(1, abs=1e-6)
    assert found.agreement == 1
    assert not found.failed


def test_labels_may_repeat(tmp_path):
    """Of classes with one label the same is compared, and predictions of two are not equal."""
    twins = Explainer(export_demo(tmp_path / "twins.onnx", labels=["odd", "even"] * 5))
    pair = Pair(twins, twins)
    found = pair.compare(PATHS[:3])
    assert (found.similarity, found.agreement) == (pytest.approx(1, abs=1e-6), 1)
    assert all("(" in change.predicted[0] for change in found.changes)
    first, second = pair.explain(PATHS[0])
    assert first.classes[0] == second.classes[0]


def test_the_least_similar_image_comes_first(release, untrained):
    found = Pair(Explainer(release), Explainer(untrained)).compare(PATHS)
    values = [change.similarity for change in found.changes]
    assert values == sorted(values)
    assert found.similarity < 0.8


def test_the_command_fails_a_release_that_looks_elsewhere(release, untrained, tmp_path):
    result = call(release, untrained, FOLDER, "-o", tmp_path, "--show", 2, "--at-least", 0.9)
    assert result.exit_code == 1
    assert "is below 0.900" in result.stderr
    assert "digits" in result.stdout
    assert len(list(tmp_path.glob("0*.png"))) == 2
    written = json.loads((tmp_path / "diff.json").read_text())
    assert written["images"] == len(PATHS)


def test_the_command_passes_the_same_release_and_draws_nothing(release, tmp_path):
    result = call(release, release, *PATHS[:2], "-o", tmp_path, "--at-least", 0.99, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["agreement"] == 1
    assert not list(tmp_path.glob("*.png"))


def test_an_image_that_cannot_be_read_is_reported_and_fails(release, tmp_path):
    shutil.copy(PATHS[0], tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no image")
    result = call(release, release, tmp_path)
    assert result.exit_code == 1
    assert "bad.png" in result.stderr
    assert "on 1 image:" in result.stdout


def test_no_image_at_all_is_one_line(release, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    said = cli.fail("diff", release, release, tmp_path / "bad.png")
    assert "no image could be compared" in said


def test_other_labels_are_refused(release, tmp_path):
    path = export_demo(tmp_path / "letters.onnx", labels=list("abcdefghij"))
    assert "letters.onnx cannot explain" in cli.fail("diff", release, path, PATHS[0])


def test_other_predictions_fail_although_the_maps_agree():
    def compared(*predictions: str) -> Comparison:
        return Comparison([Change("a.png", "1", predictions, ("ok", "ok"), 1.0, 1.0, 0.0)], {})

    assert compared("1", "1").below(0.9) == []
    assert compared("1", "2").below(0.9) == ["agreement of the predictions 0.000 is below 0.900"]
