"""Names that differ, whatever images are called."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from graftcam.runtime.inputs.names import Names, image_name


def distinct(*given: str) -> list[str]:
    names = Names()
    return [names.distinct(name) for name in given]


def test_two_files_of_one_name_and_one_that_has_the_others_number() -> None:
    images = ["a/x.png", Path("b/x.png"), "x-2.png"]
    assert distinct(*map(image_name, images)) == ["x", "x-2", "x-2-2"]
    assert distinct(*map(image_name, images[::-1])) == ["x-2", "x", "x-3"]


def test_scans_and_entries_of_archives_are_named_after_their_file() -> None:
    assert (
        image_name("a/head.nii.gz") == image_name("head.nii") == image_name("head.NII.gz") == "head"
    )
    assert image_name("v1.2.tar.gz") == "v1.2.tar"
    assert image_name("rows.npz:left") == "rows"


def test_what_has_no_file_is_an_image() -> None:
    assert image_name(np.zeros(3)) == image_name(b"") == image_name(None) == "image"
    assert distinct("image", "image", "image") == ["image", "image-2", "image-3"]


def test_letters_in_another_case_make_no_difference_to_some_file_systems() -> None:
    assert distinct("photo", "Photo", "PHOTO-2", "photo-02") == [
        "photo", "Photo-2", "PHOTO-2-2", "photo-02",
    ]  # fmt: skip


def test_no_order_of_names_makes_two_alike() -> None:
    rng = random.Random(0)
    stems = ["x", "x-1", "x-2", "x-02", "x-2-2", "X-3", "y", "-2", ""]
    for _ in range(2000):
        given = distinct(*rng.choices(stems, k=12))
        assert len({name.casefold() for name in given}) == len(given), given


def test_memory_does_not_grow_with_repetitions() -> None:
    names = Names()
    for _ in range(1000):
        last = names.distinct("image")
    assert last == "image-1000"
    assert len(names._last) == 1
