"""Explanations of token ids: a value for each token, as an image, a page and text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graftcam.runtime import Explainer, Explanation
from graftcam.runtime.errors import InputError
from graftcam.runtime.output.render import Look, palette
from graftcam.runtime.output.text import describe_explanation
from graftcam.runtime.output.views import TextView
from support.artifacts_nd import write_text

WORDS = ["good", "bad", "the", "Ġfilm", "##s", "<end>"]
IDS = [2, 3, 0, 4, 1, 0, 5]


@pytest.fixture(scope="module")
def explainer(tmp_path_factory: pytest.TempPathFactory) -> Explainer:
    return Explainer(write_text(tmp_path_factory.mktemp("model") / "text.onnx"))


def view_of(found: Explanation) -> TextView:
    assert isinstance(found.view, TextView)
    return found.view


def test_each_token_has_the_value_of_its_place(explainer: Explainer) -> None:
    found = explainer.explain(IDS, [0, 1])
    np.testing.assert_allclose(found.maps[0], np.array([0, 0, 1, 0, 0, 1, 0]) / 7)
    np.testing.assert_array_equal(found.heatmaps[1], [0, 0, 0, 0, 1, 0, 0])
    assert view_of(found).texts == ["2", "3", "0", "4", "1", "0", "5"]


def test_the_map_leaves_out_the_tokens_before_it(tmp_path: Path) -> None:
    explainer = Explainer(write_text(tmp_path / "text.onnx", prefix=2))
    found = explainer.explain([0, 0, 0, 4, 1, 0, 5], 0)
    assert found.maps.shape == (1, 5)
    np.testing.assert_array_equal(found.heatmaps[0], [0, 0, 1, 0, 0, 1, 0])


def test_padding_is_not_shown(tmp_path: Path) -> None:
    explainer = Explainer(write_text(tmp_path / "text.onnx", mask=True))
    given = {"input_ids": [2, 0, 1, 5, 5], "attention_mask": [1, 0, 1, 0, 0]}
    found = explainer.explain(given, 0, tokens=WORDS)
    assert view_of(found).texts == ["the", "good", "bad"]
    np.testing.assert_array_equal(found.heatmaps, [[0, 1, 0]])
    # The layer looks at the ids alone, and the other input is no text.
    assert found.input == "input_ids"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("vocab.txt", "\n".join(WORDS) + "\n"),
        ("vocab.json", json.dumps({word: number for number, word in enumerate(WORDS)})),
        ("list.json", json.dumps(WORDS)),
    ],
)
def test_a_table_gives_the_texts(
    explainer: Explainer, tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / name).write_text(content)
    expected = ["the", "film", "good", "##s", "bad", "good", "<end>"]
    for tokens in (tmp_path / name, WORDS, {word: n for n, word in enumerate(WORDS)}):
        assert view_of(explainer.explain(IDS, 0, tokens=tokens)).texts == expected


def test_a_list_that_lacks_ids_has_a_text_for_each_position(explainer: Explainer) -> None:
    found = explainer.explain([5, 0, 1], 0, tokens=["a", "b", "c"])
    assert view_of(found).texts == ["a", "b", "c"]
    # A small vocabulary that happens to be as long as the text stays one.
    found = explainer.explain([2, 0, 1], 0, tokens=["a", "b", "c"])
    assert view_of(found).texts == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["good"], "of 1 tokens lacks 5 of the 7 ids"),
        ({"good": "0"}, "is no table of tokens; give a text for each id"),
        ([1, 2], "is no table of tokens"),
        (3, "is no table of tokens"),
        ("none.txt", "cannot read none.txt"),
    ],
)
def test_a_wrong_table_is_refused(explainer: Explainer, tokens: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        explainer.explain(IDS, 0, tokens=tokens)


def test_binary_is_no_table(explainer: Explainer, tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is no table of tokens in UTF-8"):
        explainer.explain(IDS, 0, tokens=tmp_path / "vocab.txt")


@pytest.mark.parametrize("text", ["5", "{", "[NaN]", '["a", 1]', '{"a": true}', "[" * 5000])
def test_json_that_holds_no_table_is_refused_in_one_line(
    explainer: Explainer, tmp_path: Path, text: str
) -> None:
    (tmp_path / "vocab.json").write_text(text)
    with pytest.raises(InputError, match=r"vocab\.json is no table of tokens") as caught:
        explainer.explain(IDS, 0, tokens=tmp_path / "vocab.json")
    assert "\n" not in str(caught.value)


def test_ids_are_not_changed_by_a_cast(explainer: Explainer) -> None:
    assert explainer.explain(np.array([2, 3], np.uint8)).maps.shape == (1, 2)
    for wrong in (np.array([0.5]), np.array([2**63 + 2], np.uint64)):
        with pytest.raises(InputError, match="does not fit the type of input 'input_ids' int64"):
            explainer.explain(wrong)


def test_a_terminal_gets_colours_and_a_file_numbers(explainer: Explainer) -> None:
    found = explainer.explain(IDS, [0, 1], tokens=WORDS)
    plain = describe_explanation(Path("a.npy"), found, [])
    assert "the 0.00  film 0.00  good 1.00  ##s 0.00  bad 0.00  good 1.00" in plain
    assert "\x1b" not in plain
    coloured = describe_explanation(Path("a.npy"), found, [], colour=True)
    grounds = re.findall(
        r"\x1b\[48;2;(\d+);(\d+);(\d+)m\x1b\[38;2;20;20;20m(\S+)\x1b\[0m", coloured
    )
    assert [word for *_, word in grounds[:7]] == view_of(found).texts
    white = [tuple(map(int, ground)) == (255, 255, 255) for *ground, _ in grounds[:7]]
    assert white == [True, True, False, True, True, False, True]


def test_tokens_cannot_control_the_terminal_or_the_page() -> None:
    view = TextView(["\x1b[2J", "<script>", "a\nb"])
    values = np.zeros(3, np.float32)
    assert "\x1b[2J" not in view.coloured(values, palette(), Look())
    assert view.numbered(values).splitlines() == ["?[2J 0.00  <script> 0.00  a?b 0.00"]
    assert "<script>" not in view.html(values, palette(), Look())


def test_a_page_and_an_image_show_the_words(explainer: Explainer, tmp_path: Path) -> None:
    found = explainer.explain([*IDS * 30], [0, 1], tokens=WORDS)
    (page,) = found.save(tmp_path / "page.html")
    text = page.read_text()
    assert text.count(">good</span>") == 120
    assert "<img" not in text
    image = found.draw(0)
    assert image.shape[1] == 900
    assert image.shape == found.image.shape
    # The ground of a word without evidence stays white, of another one it does not.
    assert (found.image != image).any(axis=(1, 2)).any()
    seen = {style: found.draw(0, style=style) for style in ("heatmap", "contour", "mask")}
    assert {one.shape for one in seen.values()} == {image.shape}
    assert (seen["heatmap"].max(axis=2) > 100).all()  # no words
    first = np.s_[18:36, 16:60]  # "the", without evidence
    assert (seen["heatmap"][first] == 255).all()
    assert seen["contour"][first].min() < 50 < 150 < seen["mask"][first].min()
    zero = found.draw(0, alpha=0)
    np.testing.assert_array_equal(zero, found.image)
    assert "tokens" in found.to_dict()
    longest = TextView(["w" * 500, "b"])
    assert longest.image.shape[1] == 900


def test_strong_evidence_is_dark_on_white(explainer: Explainer) -> None:
    """Inferno's strongest colour is a light yellow, which on white ground says the opposite."""
    found = explainer.explain(IDS, 0)
    assert found.palette(Look()).colours[-1].tolist() == [185, 10, 25]
    assert found.palette(Look(colormap="inferno")).colours[-1].tolist() == [252, 255, 164]
    strongest = int(np.abs(found.heatmap(0)).argmax())
    grounds = re.findall(r"rgb\((\d+),(\d+),(\d+)\)", found._repr_html_())
    assert min(range(len(grounds)), key=lambda at: sum(map(int, grounds[at]))) == strongest
