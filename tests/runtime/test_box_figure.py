"""Drawings of boxes: labels stay in the image and beside boxes; colours belong to classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graftcam.runtime import Explainer, figure
from graftcam.runtime.output.render import Look
from graftcam.runtime.output.render.boxes import Label, class_colour, draw_boxes, outline
from graftcam.runtime.spec.detector import TARGETS
from support.box_artifacts import street, write_detector

SCENE = street()
COLOUR = class_colour(3)


@pytest.fixture(scope="module")
def explainer(tmp_path_factory: pytest.TempPathFactory) -> Explainer:
    return Explainer(write_detector(tmp_path_factory.mktemp("detector") / "cells.onnx"))


def test_colours_of_classes_are_stable_distinct_and_dark() -> None:
    colours = [class_colour(number) for number in range(12)]
    assert colours == [class_colour(number) for number in range(12)]
    assert len(set(colours)) == 12
    for colour in colours:
        linear = (np.array(colour) / 255) ** 2.2
        luminance = float(linear @ [0.2126, 0.7152, 0.0722])
        assert 1.05 / (luminance + 0.05) > 3  # contrast with white, for large letters


@pytest.mark.parametrize("level", [0, 255])
def test_an_outline_shows_on_black_and_on_white(level: int) -> None:
    image = np.full((60, 80, 3), level, np.uint8)
    outline(image, (20, 10, 60, 40), COLOUR)
    assert np.ptp(image[25].astype(int), axis=0).max() > 100
    assert (image[25, 40] == level).all()  # the inside stays as it is


def test_a_thin_box_is_framed_around_what_it_holds() -> None:
    """A line of text on a page is thinner than a usual frame, which would hide it."""
    image = np.full((320, 240, 3), 90, np.uint8)
    outline(image, (40, 100, 200, 104), COLOUR)
    assert (image[100:105, 41:200] == 90).all()
    assert (image[97, 120] == np.array(COLOUR)).all()


@pytest.mark.parametrize(
    "corners",
    [(100, 60, 160, 120), (0, 0, 60, 50), (240, 0, 300, 40), (0, 150, 50, 200), (5, 5, 295, 195)],
)
def test_a_label_stays_inside_the_image(corners: tuple[float, float, float, float]) -> None:
    image = np.full((200, 300, 3), 90, np.uint8)
    bare = image.copy()
    outline(bare, corners, COLOUR)
    drawn = draw_boxes(image, [Label(corners, "7 traffic light 0.93", "7", COLOUR)])
    changed = (drawn != bare).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    tall, wide = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    assert tall < 24  # one line, whole
    assert wide > 70
    assert (image == 90).all()


def test_a_label_leaves_the_other_boxes_alone() -> None:
    image = np.full((200, 300, 3), 90, np.uint8)
    above, below = (100, 20, 200, 88), (100, 90, 200, 180)
    labels = [Label(above, "1 face 0.9", "1", COLOUR), Label(below, "2 face 0.8", "2", COLOUR)]
    drawn = draw_boxes(image, labels)
    for left, top, right, bottom in (above, below):
        assert (drawn[top + 6 : bottom - 6, left + 6 : right - 6] == 90).all()


def test_labels_of_one_place_do_not_cover_each_other() -> None:
    image = np.full((200, 300, 3), 90, np.uint8)
    corners = (100, 80, 200, 140)
    labels = [Label(corners, f"{n} face", str(n), class_colour(n)) for n in (1, 2, 3)]
    drawn = draw_boxes(image, labels)
    for label in labels:
        alone = (draw_boxes(image, [label]) == np.array(label.colour)).all(axis=2)
        outlined = np.full_like(image, 90)
        outline(outlined, corners, label.colour)
        grounds = alone.sum() - (outlined == np.array(label.colour)).all(axis=2).sum()
        assert (drawn == np.array(label.colour)).all(axis=2).sum() >= grounds


def test_the_sheet_has_a_panel_for_each_box_and_class(explainer: Explainer) -> None:
    every, edges = (
        [tile.title for tile in found.sheet(64, Look()).tiles]
        for found in (
            explainer.explain_boxes(SCENE),
            explainer.explain_boxes(SCENE, 1, ["class", "edges"], conf=0.5),
        )
    )
    assert every == [
        "image", "1 red 1.00", "2 green 1.00", "3 red 0.27", "4 green 0.27", "red", "green",
    ]  # fmt: skip
    assert edges == ["image", "1 red 1.00", *(f"1 red: {edge}" for edge in TARGETS[1:])]


def test_a_box_is_outlined_on_its_own_map(explainer: Explainer) -> None:
    found = explainer.explain_boxes(SCENE, [1], ["class", "left"], conf=0.5)
    plain = found.view.image
    drawn = found.draw(0)
    colour = np.array(class_colour(0))
    assert (drawn[48, :3] == colour).all(axis=1).any()
    assert (found.draw_input(128)[48, :3] == colour).all(axis=1).any()
    assert not (drawn[100:, 40:] != plain[100:, 40:]).any()
    assert found.draw(1).shape == plain.shape
    assert found.draw_input(256).shape == (256, 128, 3)
    assert (found.draw_input() != plain).any()


def test_figures_pages_and_files_show_boxes(explainer: Explainer, tmp_path: Path) -> None:
    found = explainer.explain_boxes(SCENE, conf=0.5)
    assert figure([found], 64).shape[2] == 3
    assert figure(explainer.compare(SCENE, ["hirescam", "gradcam"], conf=0.5), 64).shape[2] == 3
    assert "red" in found._repr_html_()
    files = found.save(tmp_path)
    assert [file.name for file in files] == ["image-red.png", "image-green.png"]
    dark = explainer.explain_boxes(np.zeros_like(SCENE))
    assert dark.panel(64).shape[2] == 3
