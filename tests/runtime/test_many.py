"""Many images: in order, in bounded memory, and one that fails is a result of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

import numpy as np
import pytest

from graftcam.runtime import Explainer, Explanation, Failure
from graftcam.runtime.errors import ClassError, ImageError, InputError
from graftcam.runtime.inorder import batched, in_order
from graftcam.runtime.output.render import encode_image
from support.artifacts import SCENE, write_segmenter
from support.images import images


def test_many_images_are_explained_as_each_alone(explainer: Explainer) -> None:
    many = [image[: 40 + i] for i, image in enumerate(images(11, 51, 60))]
    found = list(explainer.explain_many(many, top=2, batch=4))
    assert len(found) == 11
    for image, one in zip(many, found, strict=True):
        assert isinstance(one, Explanation)
        np.testing.assert_array_equal(one.image, image)
        alone = explainer.explain(image, top=2)
        assert one.classes == alone.classes
        # The batch's size decides how a product is cut up, and with it the last digit.
        np.testing.assert_allclose(one.maps, alone.maps, rtol=1e-5)
    assert [one.name for one in found[:3]] == ["image", "image-2", "image-3"]  # pyright: ignore


def test_an_image_that_fails_yields_its_reason_in_its_place(
    explainer: Explainer, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    sliver = np.zeros((500000, 1, 3), np.uint8)  # can be read, but not resized
    found = list(explainer.explain_many([SCENE, broken, SCENE, sliver, SCENE], batch=5))
    assert [type(one) for one in found] == [
        Explanation, Failure, Explanation, Failure, Explanation,
    ]  # fmt: skip
    assert isinstance(found[1], Failure)
    assert found[1].image == broken
    assert isinstance(found[1].error, ImageError)
    assert "crop it to a less extreme shape" in str(found[3].error)  # pyright: ignore


def test_a_region_that_misses_one_image_spoils_only_that_one(tmp_path: Path) -> None:
    explainer = Explainer(write_segmenter(tmp_path / "fields.onnx"))
    mask = np.ones(SCENE.shape[:2], np.bool_)
    found = list(explainer.explain_many([SCENE, SCENE[:, ::2], SCENE], classes="red", region=mask))
    assert [type(one) for one in found] == [Explanation, Failure, Explanation]


def test_names_are_distinct_also_where_an_image_is_called_like_anothers_number(
    explainer: Explainer, tmp_path: Path
) -> None:
    paths = [tmp_path / "a" / "x.png", tmp_path / "b" / "x.png", tmp_path / "x-2.png"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode_image(SCENE))
    many = explainer.explain_many(paths, classes="red")
    names = [one.name for one in many if isinstance(one, Explanation)]
    assert names == [one.name for one in explainer.explain(paths)] == ["x", "x-2", "x-2-2"]


def test_one_region_goes_for_all(tmp_path: Path) -> None:
    explainer = Explainer(write_segmenter(tmp_path / "fields.onnx"))
    (found,) = explainer.explain_many([SCENE], classes="red", box=(80, 24, 96, 40))
    assert isinstance(found, Explanation)
    expected = explainer.explain(SCENE, "red", box=(80, 24, 96, 40))
    np.testing.assert_array_equal(found.maps, expected.maps)
    with pytest.raises(InputError, match="many images share one region; pass a single mask"):
        explainer.explain_many([SCENE], region=[np.ones((4, 4))])


def test_a_wrong_request_is_refused_before_the_first_image(explainer: Explainer) -> None:
    def never() -> Iterator[np.ndarray]:
        raise AssertionError("an image was taken")
        yield SCENE

    with pytest.raises(ClassError, match="unknown label 'purple'"):
        explainer.explain_many(never(), classes="purple")
    with pytest.raises(InputError, match="unknown method 'magic'"):
        explainer.explain_many(never(), method="magic")
    for name in ("batch", "readers"):
        with pytest.raises(InputError, match=f"{name}=0 is out of range; give a whole number fr"):
            explainer.explain_many(never(), **{name: 0})

    for image in ("photo.jpg", Path("photo.jpg"), SCENE):
        with pytest.raises(InputError, match=r"explain_many\(.*\): pass a list of images"):
            explainer.explain_many(image)  # pyright: ignore[reportArgumentType]


def test_memory_is_bounded_however_many_images_there_are(explainer: Explainer) -> None:
    taken = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal taken
        while True:
            taken += 1
            yield SCENE

    batch = 4
    stream = explainer.explain_many(endless(), batch=batch)
    for requested in range(1, 30):
        next(stream)
        # One batch is yielded, one or two are explained, one is read.
        assert taken <= requested + 5 * batch
    stream.close()


def test_threads_end_with_the_stream(explainer: Explainer) -> None:
    before = threading.active_count()
    stream = explainer.explain_many(repeat(SCENE), batch=2)
    next(stream)
    assert threading.active_count() > before
    stream.close()
    assert threading.active_count() == before


def test_results_come_in_order_and_errors_where_they_belong() -> None:
    later = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert later.wait(10)  # the first one ends last
        later.set()
        if item == 3:
            raise ValueError("three")
        return item

    results = in_order(work, range(9), workers=2, ahead=3)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
    assert list(batched("abcde", 2)) == [["a", "b"], ["c", "d"], ["e"]]
