"""The study's images and counts."""

import json
import re

import numpy as np
import pytest

from graftcam.demo import study
from graftcam.demo.bundled import images
from graftcam.demo.data import Box, draw, load_glyphs
from graftcam.runtime import Explainer
from graftcam.runtime.inputs.images import as_rgb
from support.exports import exported_digits
from support.paths import ROOT

DOCS = ROOT / "docs"
THREE, ONE = Box(10, 10, 20, 30, 3), Box(60, 50, 20, 30, 1)


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    return Explainer(exported_digits())


def _alarm(source: Box | None, after: float | None = None, control: float | None = None):
    return study.Alarm(np.zeros((96, 96, 3), np.uint8), 9, 0.9, source, after, control)


def test_a_hidden_digit_is_gone_and_all_else_stays():
    shown = images()[0]
    image = as_rgb(shown.path)
    box = shown.boxes[0]
    hidden = study.hide(image, box)
    changed = (hidden != image).any(axis=2)
    assert changed[box.y : box.y + box.h, box.x : box.x + box.w].mean() > 0.5
    changed[box.y - 3 : box.y + box.h + 3, box.x - 3 : box.x + box.w + 3] = False
    assert not changed.any()


def test_rates_count_what_was_tried():
    alarms = [_alarm(None), _alarm(THREE, 0.2), _alarm(THREE, 0.7, 0.9), _alarm(ONE, 0.1, 0.3)]
    found = study.summary(alarms)
    assert found["false alarms"] == 4
    assert found["peaks on a digit"] == 3
    assert found["silenced by hiding that digit"] == pytest.approx(2 / 3, abs=1e-3)
    assert found["with another digit"] == 2
    assert found["silenced by hiding another"] == 0.5
    assert found["most frequent"][0] == {"digit": "three", "taken for": "nine", "times": 2}


def test_no_alarm_has_no_rates():
    assert study.summary([])["silenced by hiding that digit"] is None


def test_an_alarm_is_traced_to_its_digit(explainer):
    drawn = draw(load_glyphs("heldout"), 100, study._SEED)
    alarms = study.false_alarms(explainer, list(drawn.images[50:]), drawn.boxes[50:])
    assert len(alarms) == 2
    for alarm in alarms:
        assert alarm.source is not None
        assert alarm.before > 0.5 > alarm.after
    one, both = (study.image(explainer, alarms[:count]) for count in (1, 2))
    assert both.shape[0] > 1.5 * one.shape[0]
    assert all(image.std() > 10 for image in (one, both))


def test_the_document_reports_the_findings():
    page = (DOCS / "methods.md").read_text("utf-8")
    section = page.partition("\n## A study")[2].partition("\n## ")[0]
    found = json.loads((DOCS / "study.json").read_text("utf-8"))
    first = found["most frequent"][0]
    expected = {
        found["canvases"], found["false alarms"], found["peaks on a digit"], first["times"],
        found["silenced by hiding that digit"] * found["peaks on a digit"],
        round(100 * found["silenced by hiding another"], 1),
    }  # fmt: skip
    assert {float(number) for number in re.findall(r"\d+(?:\.\d+)?", section)} == expected
    assert f"{first['digit']} taken for a {first['taken for']}" in " ".join(section.split())
