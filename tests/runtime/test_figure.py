"""Panels, figures and what a notebook shows."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest

from graftcam.runtime import Explainer, Explanation, figure
from graftcam.runtime.errors import RenderError
from graftcam.runtime.output.figures import sheet_of
from graftcam.runtime.output.render import Bar, Look, palette, panel, scale_bar
from graftcam.runtime.output.render.bars import draw_bar
from graftcam.runtime.output.render.text import ascii_of, shorten, text_width, wrap, write
from support.artifacts import SCENE, spec, write_artifact


def ink(canvas: np.ndarray) -> np.ndarray:
    return (canvas < 160).any(axis=2)


def test_text_loses_its_accents_and_what_has_no_ascii() -> None:
    assert ascii_of("Käfer naïve") == "Kafer naive"
    assert ascii_of("犬 / dog\n") == "? / dog"


def test_text_is_as_wide_as_measured_and_is_cut_where_there_is_no_room() -> None:
    canvas = np.full((40, 300, 3), 255, np.uint8)
    write(canvas, "Sphinx of quartz", 20, 30, 12)
    columns = np.flatnonzero(ink(canvas).any(axis=0))
    rows = np.flatnonzero(ink(canvas).any(axis=1))
    assert abs(columns[0] - 20) <= 2
    assert abs(columns[-1] - 20 - text_width("Sphinx of quartz", 12)) <= 3
    assert rows[0] >= 30 - 14
    assert rows[-1] <= 30 + 6
    short = shorten("a title that is much too long", 100, 12)
    assert short.endswith("...")
    assert text_width(short, 12) <= 100
    assert shorten("word", 2, 12) == ""
    lines = wrap("no evidence found", 100, 12)
    assert " ".join(lines) == "no evidence found"
    assert len(lines) > 1
    assert max(text_width(line, 12) for line in lines) <= 100


def test_a_figure_of_a_very_wide_image_is_bounded(tmp_path: Path) -> None:
    explainer = Explainer(write_artifact(tmp_path / "m.onnx"))
    wide = np.tile(SCENE[:1], (1, 60, 1))  # 1 x 9600
    found = explainer.explain(wide, 0)
    sheet = figure([found])
    assert sheet.nbytes < 1e7
    with pytest.raises(RenderError, match="9600 x 1 pixels cannot be drawn at 3072000 x 320; give"):
        found.draw(0, height=320)
    with pytest.raises(RenderError, match="give a height from 1 on"):
        figure([found], -5)


def test_text_beyond_the_border_is_cut_off() -> None:
    for left, baseline, visible in (
        (-15, 15, True), (10, 15, True), (2, 22, True), (2, 3, True), (0, -50, False),
        (50, 90, False), (-500, 10, False),
    ):  # fmt: skip
        small, large = (np.full((side, side, 3), 255, np.uint8) for side in (20, 120))
        write(small, "text", left, baseline, 12)
        if visible:  # as on a canvas that has room for it
            write(large, "text", left + 50, baseline + 50, 12)
        np.testing.assert_array_equal(small, large[50:70, 50:70])
        assert (small < 128).any() == visible


def test_a_panel_sets_images_side_by_side_under_their_titles() -> None:
    red = np.full((100, 200, 3), (255, 0, 0), np.uint8)
    blue = np.full((50, 50, 3), (0, 0, 255), np.uint8)
    title = "a title much too long for its narrow column"
    sheet = panel([red, blue], ["input", title], height=160)
    assert (sheet[42:202, 16:336] == (255, 0, 0)).all()
    assert (sheet[42:202, 350:510] == (0, 0, 255)).all()
    assert sheet.shape == (16 + 26 + 160 + 16, 510 + 16, 3)
    titles = ink(sheet[:42])
    assert titles[:, 16:336].any()
    assert titles[:, 350:511].any()
    assert not titles[:, :14].any()
    assert not titles[:, 511:].any(), "the long title is cut to fit"
    with pytest.raises(RenderError, match="2 images, 1 titles and 0 notes; give one title"):
        panel([red, blue], ["only one"])


def test_a_panel_has_rows_empty_places_and_notes() -> None:
    tile = np.full((100, 130, 3), 128, np.uint8)
    sheet = panel([tile, tile, None, tile], list("abcd"), 100, list("efgh"), columns=2)
    assert sheet.shape == (2 * (44 + 100) + 14 + 32, 130 * 2 + 14 + 32, 3)
    assert (sheet[60:160, 16:146] == 128).all()
    assert (sheet[218:318, 16:146] == 255).all()
    assert (sheet[218:318, 160:290] == 128).all()


def test_a_colour_bar_shows_each_tick_beside_its_colour() -> None:
    tile = np.full((101, 130, 3), 128, np.uint8)
    colours = palette("diverging", signed=True)
    bar = Bar(colours, ((1.0, "max"), (0.0, "0"), (-1.0, "-max")))
    sheet = panel([tile], ["a"], 101, bars=[bar])
    column = sheet[42:143, 16 + 130 + 14 + 3]
    for row, value in ((0, 1.0), (50, 0.0), (100, -1.0)):
        expected = colours.paint(np.full((1, 1), value, np.float32))[0, 0]
        np.testing.assert_array_equal(column[row], expected)
        label = sheet[42 + row - 5 : 42 + row + 6, 16 + 130 + 14 + 22 :]
        assert ink(label).any()
    assert not ink(sheet[:, -6:]).any(), "labels end before the border"


def test_one_explanation_is_a_row_of_its_image_and_classes(explainer: Explainer) -> None:
    found = explainer.explain(SCENE, ["red", "green", "empty"])
    sheet = found.panel(height=80)
    np.testing.assert_array_equal(sheet[60:140, 16:176], SCENE)
    np.testing.assert_array_equal(sheet[60:140, 190:350], found.draw("red"))
    np.testing.assert_array_equal(sheet[60:140, 538:698], found.draw("empty"))
    square = explainer.explain(SCENE[:, 40:120], ["red", "green"]).panel()
    assert square.shape[0] == 16 * 2 + 44 + 320, "small images are enlarged"


def test_several_methods_stand_in_a_row_and_with_several_classes_in_rows(
    explainer: Explainer,
) -> None:
    one = explainer.explain(SCENE, "red")
    other = replace(one, method="other", maps=one.maps[:, ::-1])
    sheet = figure([one, other], height=80)
    np.testing.assert_array_equal(sheet[60:140, 364:524], other.draw())
    one = explainer.explain(SCENE, ["red", "green"])
    other = replace(one, method="other", maps=one.maps[:, ::-1])
    sheet = figure([one, other], height=80, style="heatmap")
    # The names of the methods stand before the maps, those of the classes above the first row.
    second = slice(60 + 80 + 14 + 18, 60 + 80 + 14 + 18 + 80)
    np.testing.assert_array_equal(sheet[60:140, 16:176], SCENE)
    assert (sheet[second, 16:176] == 255).all()
    np.testing.assert_array_equal(sheet[second, 388:548], other.draw(1, style="heatmap"))
    assert ink(sheet[second, 190:214]).any()
    assert not ink(sheet[140:154, 214:548]).any()


def test_each_name_stands_once(explainer: Explainer) -> None:
    one = explainer.explain(SCENE, "red")
    other = replace(one, method="other")
    lone = sheet_of([one, other], 80, Look())
    assert [tile.title for tile in lone.tiles] == ["image", "gradcam", "other"]
    assert lone.tiles[0].note.startswith("red, p = ")
    one = explainer.explain(SCENE, ["red", "green"])
    other = replace(one, method="other")
    grid = sheet_of([one, other], 80, Look())
    assert [tile.title for tile in grid.tiles] == ["image", "red", "green", "", "", ""]
    assert grid.rows == ["gradcam", "other"]
    assert len({tile.note.split(",")[0] for tile in grid.tiles[1:3]}) == 2
    assert all(tile.note.startswith("up to ") for tile in grid.tiles[4:])


def test_bars_say_what_colours_mean_and_bear_raw_values_where_they_are_common(
    explainer: Explainer,
) -> None:
    found = explainer.explain(SCENE, ["red", "green"])
    highest = f"{found.maps.max():.2g}"

    def words(entries: list[Explanation], **look: Any) -> list[list[str]]:
        bars = sheet_of(entries, 80, Look(**look)).bars
        return [[text.replace("\n", " ") for _, text in bar.ticks] for bar in bars]

    assert words([found]) == [["no evidence", "most evidence of each map"]]
    assert words([found], scale="shared") == [["no evidence", f"most evidence raw {highest}"]]
    assert words([explainer.explain(SCENE, "red")]) == words([found], scale="shared")
    cut = words([found], scale="shared", percentile=50)[0]
    assert cut[1].endswith(" or more")
    signed = replace(explainer.explain(SCENE, "red"), signed=True)
    assert words([signed]) == [
        ["no evidence", f"most evidence for raw {highest}", f"most evidence against raw -{highest}"]
    ]
    assert len(words([found, signed])) == 2
    assert words([found], style="mask") == words([found], bar=False) == []
    lines = words([explainer.explain(SCENE, "red")], style="contour")[0]
    assert lines[2:] == ["line at 25%", "line at 50%", "line at 75%"]


def test_a_single_map_has_a_bar_by_option(explainer: Explainer) -> None:
    found = explainer.explain(SCENE, ["red", "empty"])
    plain, barred = found.draw("red", 120), found.draw("red", 120, bar=True)
    np.testing.assert_array_equal(barred[:, :240], plain)
    assert barred.shape[1] > 240 + 100
    assert ink(barred[:, 260:]).any()
    assert not ink(barred[:, -2:]).any(), "labels end before the border"
    np.testing.assert_array_equal(found.draw("empty", 120, bar=True), found.draw("empty", 120))
    low = found.draw("red", 60, bar=True)
    np.testing.assert_array_equal(low[:60, :120], found.draw("red", 60))
    assert (low[60:, :120] == 255).all()
    assert len(low) == 96, "a bar needs room for its words"


@pytest.mark.parametrize("height", [96, 120, 320])
def test_labels_of_a_bar_never_touch(height: int) -> None:
    colours = palette("diverging", signed=True)
    for style in ("overlay", "contour"):
        bar = scale_bar(colours, Look(style=cast("Any", style)), True, 2.5, 99)
        assert bar is not None
        labels = ink(draw_bar(bar, height)[:, 22:]).any(axis=1)
        runs = np.flatnonzero(np.diff(np.concatenate([[0], labels.astype(int), [0]])))
        assert np.diff(runs)[::2].max() <= 13, "a line of text is 8 pixels high, with descenders 11"


def test_explanations_by_one_method_are_told_apart_by_their_classes(explainer: Explainer) -> None:
    """As the words of a caption, each explained at its own step."""
    words = [explainer.explain(SCENE, one) for one in ("red", "green")]
    together = explainer.explain(SCENE, ["red", "green"])
    np.testing.assert_array_equal(figure(words, 80), together.panel(80))


def test_rows_of_unequal_length_keep_to_their_columns(explainer: Explainer) -> None:
    one = explainer.explain(SCENE, "red")
    two = replace(explainer.explain(SCENE, ["red", "green"]), method="other")
    sheet = figure([one, two], height=80, style="heatmap")
    second = slice(60 + 80 + 14 + 44, 60 + 80 + 14 + 44 + 80)
    assert (sheet[60:140, 388:548] == 255).all()
    for column, label in ((214, "red"), (388, "green")):
        drawn = two.draw(label, style="heatmap")
        np.testing.assert_array_equal(sheet[second, column : column + 160], drawn)


def test_a_figure_wants_explanations_of_one_image(explainer: Explainer) -> None:
    for found in ([], [explainer.explain(SCENE), explainer.explain(SCENE[:40])]):
        with pytest.raises(RenderError, match="one or more explanations of one image"):
            figure(found)


@pytest.mark.parametrize("style", ["overlay", "heatmap", "contour", "mask"])
@pytest.mark.parametrize("scale", ["own", "shared"])
def test_every_look_draws_every_kind_of_map(explainer: Explainer, style: str, scale: str) -> None:
    look = {"style": style, "scale": scale}
    found = explainer.explain(SCENE, ["red", "green", "empty"])
    signed = replace(found, signed=True, maps=found.maps - 0.1, method="signed")
    none = explainer.explain(SCENE, [])
    for entries in ([found], [found, signed], [none], [none, found]):
        sheet = figure(entries, **look)  # pyright: ignore[reportArgumentType]
        assert sheet.dtype == np.uint8


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_a_notebook_shows_labels_as_they_are_and_never_as_markup(tmp_path: Path) -> None:
    labels = ["<script>alert(1)</script>", 'Käfer & "犬"', "blue", "empty"]
    explainer = Explainer(write_artifact(tmp_path / "a.onnx", spec(labels=labels)))
    found: Explanation = explainer.explain(SCENE, [0, 1, 3])
    page = _Page(found._repr_html_())
    assert "script" not in page.tags
    assert page.tags.count("img") == 4
    assert set(labels) - {"blue"} <= set(page.words)
    assert any("no evidence" in words for words in page.words)
    stored = cv2.imdecode(np.frombuffer(found._repr_png_(), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(stored[:, :, ::-1], found.panel())
