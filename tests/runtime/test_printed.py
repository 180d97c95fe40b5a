"""Figures for print: vector text, embedded fonts, rasters of 300 dots an inch, at a given width."""

from __future__ import annotations

import re
import sys
import warnings
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graftcam.runtime import Explainer, Explanation, save_figure
from graftcam.runtime.errors import RenderError
from support.artifacts import SCENE, spec, write_artifact

pytest.importorskip("matplotlib")


def streams(pdf: bytes) -> bytes:
    """The decompressed streams of a PDF."""
    found = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    texts: list[bytes] = []
    for one in found:
        try:
            texts.append(zlib.decompress(one))
        except zlib.error:
            texts.append(one)
    return b"\n".join(texts)


def test_a_pdf_has_its_width_its_fonts_and_text_as_text(
    explainer: Explainer, tmp_path: Path
) -> None:
    found = explainer.explain(SCENE, ["red", "green"])
    [path] = found.save(tmp_path / "fig.pdf", width=3.5)
    data = path.read_bytes()
    assert re.search(rb"/MediaBox \[ ?0 0 252 ", data)  # 3.5 inches of 72 points
    assert data.count(b"/FontFile2") >= 1
    assert b"/Subtype /Type3" not in data
    drawn = streams(data)
    assert b"Tj" in drawn or b"TJ" in drawn
    # Two columns and a bar share 3.5 inches: images are 1.2 inches wide, of 300 dots an inch.
    widths = [int(one) for one in re.findall(rb"/Width (\d+)", data)]
    assert len(widths) == 4
    assert 330 < max(widths) < 390
    assert b"CreationDate" not in data
    assert found.save(tmp_path / "again.pdf", width=3.5)[0].read_bytes() == data


def test_an_svg_is_drawn_alike_everywhere(tmp_path: Path) -> None:
    labels = ["$x^2$ <b>", "Käfer 犬", "blue", "empty"]
    explainer = Explainer(write_artifact(tmp_path / "m.onnx", spec(labels=labels)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a letter that the font lacks
        [path] = explainer.explain(SCENE, [0, 1]).save(tmp_path / "fig.svg")
    text = path.read_text("utf-8")
    assert 'width="504pt"' in text
    assert "<text" not in text
    assert "font-family" not in text
    assert text.count("<image") == 4  # the image, two maps, and a colour bar
    assert set(re.findall(r'href="(data:image/png|#|.)', text)) == {"data:image/png", "#"}
    assert "$x^2$" in text.replace("&lt;", "<"), "matplotlib names outlined text in a comment"
    assert "Käfer ?" in text
    assert "<dc:date>" not in text


def test_several_methods_are_one_figure_and_other_suffixes_are_images(
    explainer: Explainer, tmp_path: Path
) -> None:
    one = explainer.explain(SCENE, ["red", "green"])
    both = [one, replace(one, method="other", signed=True)]
    text = save_figure(both, tmp_path / "a.svg").read_text("utf-8")
    assert text.count("<image") == 5 + 2
    for words in ("gradcam", "other", "most evidence against"):
        assert words in text
    assert save_figure(both, tmp_path / "a.png").stat().st_size > 1000
    single = one["green"].save(tmp_path / "b.svg")
    assert single.read_text("utf-8").count("<image") == 3


@pytest.mark.parametrize("found", ["zero", "tiny", "wide"])
def test_any_image_and_map_can_be_printed(explainer: Explainer, tmp_path: Path, found: str) -> None:
    image = {"zero": SCENE, "tiny": SCENE[:1, :1], "wide": np.tile(SCENE[:2], (1, 20, 1))}[found]
    explained = explainer.explain(image, ["empty", "red"])
    assert save_figure([explained], tmp_path / "x.pdf", 1.0).stat().st_size > 1000
    none: Explanation = explainer.explain(image, [])
    assert save_figure([none], tmp_path / "y.pdf").exists()


@pytest.mark.parametrize("width", [0.5, 41, float("nan")])
def test_a_width_that_is_none_is_refused(
    explainer: Explainer, tmp_path: Path, width: float
) -> None:
    with pytest.raises(RenderError, match=r"width=.* is out of range; give 1 to 40 inches"):
        explainer.explain(SCENE).save(tmp_path / "x.pdf", width=width)
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_the_error_says_what_to_install(
    explainer: Explainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(RenderError, match=r'SVG and PDF need: pip install "graftcam\[figures\]"'):
        explainer.explain(SCENE).save(tmp_path / "x.svg")
    assert list(tmp_path.iterdir()) == []
