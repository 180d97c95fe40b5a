"""A detector's report shows its boxes in the given images, and a map of each."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import cv2
import numpy as np

from graftcam.runtime import Explainer
from graftcam.runtime.output.box_figure import numbered
from support.small_detector import export_detector, write_scene


def pictures(html: str) -> list[np.ndarray]:
    """The images of a page, RGB."""
    data = re.findall(r"data:image/png;base64,([^\"]+)", html)
    decoded = [cv2.imdecode(np.frombuffer(base64.b64decode(one), np.uint8), 1) for one in data]
    return [image[..., ::-1] for image in decoded]


def test_the_page_shows_numbered_boxes_and_a_map_for_each(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    photo = write_scene(folder / "a.png", ("red", 16, 16, 16), ("blue", 40, 40, 8))
    write_scene(folder / "b.png")
    artifact = export_detector(tmp_path / "squares.onnx", images=folder, report=tmp_path / "report")
    html = (tmp_path / "report" / "index.html").read_text()
    section = html[html.index('id="boxes"') :].partition("</section>")[0]
    found = Explainer(artifact, "cpu").explain_boxes(photo)
    assert "a.png <span>· 2 boxes</span>" in section
    for box, share in zip(found.explained, found.shares, strict=True):
        title = f"{box.number} {box.label} {box.score:.2f}"
        assert f"{title}: {share:.0%} of its map lies in the box" in section
    assert "b.png <span>· no box reaches 0.25; the best candidate is red" in section
    shown = pictures(section)
    assert len(shown) == 4
    np.testing.assert_array_equal(shown[0], numbered(found.view, list(found.detections)))
    for position in range(2):
        np.testing.assert_array_equal(shown[1 + position], found.draw(position))
    assert "Heatmaps compared" not in html
    assert "<dt>Boxes</dt><dd>dense, recognised since" in html
    assert "Time to detect and explain the boxes" in html
