"""Names of drawn objects find the model's labels; files of annotations find the photographs."""

from __future__ import annotations

from pathlib import Path

import pytest

from graftcam.runtime.errors import TruthError
from graftcam.runtime.tools.evaluate.truth.names import Classes
from graftcam.runtime.tools.evaluate.truth.photographs import pair, stem_of

LABELS = ["tabby, tabby cat", "Tabby", "traffic light", "crane", "crane", "tiger cat, tabby"]


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("Tabby", 1),  # letter by letter, before its other case and before synonyms
        ("TABBY", 1),
        ("tabby, tabby cat", 0),
        ("tabby_cat", 0),
        ("Tiger-Cat", 5),
        ("Traffic_Light", 2),
        ("traffic  light", 2),
        ("traffic", None),
        ("crane", None),  # two labels
        ("", None),
    ],
)
def test_names_are_compared_in_three_steps(name: str, place: int | None) -> None:
    assert Classes(LABELS).find(name) == place


def test_names_without_a_label_are_listed() -> None:
    found, unknown = Classes(LABELS).find_all(["zebra", "Tabby", "crane", "zebra"], Path("x"))
    assert (found, unknown) == ({"Tabby": 1}, ["zebra", "crane"])


def test_no_label_at_all_is_an_error_that_names_both_sides() -> None:
    with pytest.raises(
        TruthError, match=r"names 'zebra', 'a', 'b', 'c', 'd' and 1 more, .*'crane'"
    ):
        Classes(LABELS).find_all(["zebra", *"abcde"], Path("x"))
    with pytest.raises(TruthError, match=r"stores no labels; export it with labels \(--labels\)"):
        Classes(None).find_all(["zebra"], Path("x"))


def test_stems() -> None:
    assert [stem_of(one) for one in ("a.jpg", "b.c/d", "b/c.d.png", ".x", "b/.x")] == [
        "a", "b.c/d", "b/c.d", ".x", "b/.x",
    ]  # fmt: skip


def test_whole_paths_come_before_names_alone() -> None:
    photographs = ["a/1.jpg", "b/2.jpg", "3.jpg"]
    drawn = ["a/1.jpg", "other/1.jpg", "val/2.jpg", "3.jpg", "4.jpg"]
    expected = {"a/1.jpg": "a/1.jpg", "3.jpg": "3.jpg", "val/2.jpg": "b/2.jpg"}
    assert pair(drawn, photographs) == expected


@pytest.mark.parametrize(
    ("drawn", "photographs"),
    [(["1.jpg"], ["a/1.jpg", "b/1.jpg"]), (["a/1.jpg", "b/1.jpg"], ["1.jpg"])],
)
def test_a_name_that_could_be_two_is_refused(drawn: list[str], photographs: list[str]) -> None:
    with pytest.raises(TruthError, match=r"'1.jpg' could belong to 'a/1.jpg', 'b/1.jpg'"):
        pair(drawn, photographs)


def test_one_stem_of_two_photographs_is_refused_only_if_it_is_drawn() -> None:
    assert pair(["b"], ["a.jpg", "a.png", "b.jpg"], stem_of) == {"b": "b.jpg"}
    with pytest.raises(TruthError, match=r"'a' could belong to 'a.jpg', 'a.png'"):
        pair(["a"], ["a.jpg", "a.png"], stem_of)
