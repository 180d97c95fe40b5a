"""The request: the same keywords everywhere, and the error when one is wrong."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import numpy as np
import pytest

from graftcam.runtime import METHODS, Explainer, Request
from graftcam.runtime.errors import InputError
from graftcam.runtime.explain.box_request import BOX_KEYS
from graftcam.runtime.explain.request import check_request
from support.artifacts import SCENE

WAYS: dict[str, Callable[..., Any]] = {
    "explain": lambda explainer, **request: explainer.explain(SCENE, **request),
    "explain_many": lambda explainer, **request: list(explainer.explain_many([SCENE], **request)),
    "explain_named": lambda explainer, **request: explainer.explain_named([], **request),
    "compare": lambda explainer, **request: explainer.compare(SCENE, ["gradcam"], **request),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"clases": 1}, "unknown keyword 'clases'; did you mean 'classes'[?] a request takes clas"),
        ({"layers": "a"}, "unknown keyword 'layers'; did you mean 'layer'[?]"),
        ({"samples": 50}, r'unknown keyword \'samples\'; .*options={"samples": 50}$'),
        ({"relu": False}, r'options={"relu": False}$'),
        ({"baseline": np.zeros((9, 9))}, r'options={"baseline": ...}$'),
        ({"target": "cat"}, "unknown keyword 'target'; did you mean 'classes'[?]"),
        ({"label": "cat"}, "unknown keyword 'label'; did you mean 'classes'[?]"),
        ({"workers": 3}, "unknown keyword 'workers'; a request takes classes, top, "),
        ({"alpha": 0.3}, "unknown keyword 'alpha'; a request takes classes, top, "),
    ],
)
def test_a_wrong_keyword_is_refused_with_the_right_one(
    explainer: Explainer, way: str, request_: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        WAYS[way](explainer, **request_)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"options": "samples=50"}, "options='samples=50': give a mapping, such as"),
        ({"top": "3"}, "top='3': give a whole number$"),
        ({"top": None}, "top=None: give a whole number$"),
        ({"layer": 3}, "layer=3: give a text, a list of texts or None$"),
        ({"augment": None}, "augment=None: give True or False, a text or a list of texts$"),
        ({"box": (1.5, 0, 9, 9)}, r"box=\(1.5, 0, 9, 9\): give a list of whole numbers or None$"),
        ({"progress": 3}, "progress=3: give a function or None$"),
    ],
)
def test_a_value_of_another_type_is_refused_with_the_right_one(
    explainer: Explainer, way: str, request_: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        WAYS[way](explainer, **request_)


@pytest.mark.parametrize("method", METHODS)
def test_no_option_is_taken_for_a_misspelt_keyword(method: str) -> None:
    for option in METHODS[method].options:
        with pytest.raises(TypeError, match=rf'options={{"{option}": 3}}'):
            check_request({option: 3})


def test_every_way_takes_all_keywords(explainer: Explainer) -> None:
    everything: Request = {
        "classes": ["red", "green"], "top": 1, "output": None, "method": "layercam",
        "options": {"eigen_smooth": True}, "layer": ["features.0"], "fuse": "max",
        "augment": "flip", "region": None, "box": None, "score_weights": None, "prompts": None,
        "bank": None, "inputs": {}, "over": "image", "tokens": None,
        "progress": lambda done, total: None,
    }  # fmt: skip
    assert {*everything, *BOX_KEYS} == set(get_type_hints(Request))
    expected = explainer.explain(SCENE, **everything)
    for way in ("explain_many", "compare"):
        given: dict[str, Any] = {**everything}
        if way == "compare":
            del given["method"]
            (found,) = explainer.compare(SCENE, ["layercam"], **given)
        else:
            (found,) = WAYS[way](explainer, **given)
        np.testing.assert_array_equal(found.maps, expected.maps)
        assert (found.method, found.augment) == ("layercam", ("flip",))


def test_every_keyword_is_documented_once() -> None:
    text = inspect.getdoc(Request) or ""
    for name in Request.__annotations__:
        assert text.count(f"\n    {name}: ") == 1, name
    for name in ("explain", "explain_many", "explain_named", "compare"):
        hints = inspect.signature(getattr(Explainer, name)).parameters["request"]
        assert hints.annotation == "Unpack[Request]", name


def test_classes_come_by_position_or_by_keyword(explainer: Explainer) -> None:
    assert explainer.explain(SCENE, "green").classes == [1]
    assert explainer.explain(SCENE, classes="green").classes == [1]
    with pytest.raises(TypeError, match="the classes twice, by position and by keyword"):
        explainer.explain(SCENE, "green", classes="red")


def test_compare_takes_one_image_and_its_methods_as_a_list(explainer: Explainer) -> None:
    for image, methods in (([SCENE], ["gradcam"]), (SCENE, []), (SCENE, "gradcam")):
        with pytest.raises(InputError, match="takes one image and a list of one or more methods"):
            explainer.compare(image, methods)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="takes a list of methods; leave method= out"):
        explainer.compare(SCENE, ["gradcam"], method="layercam")


def test_compare_gives_an_explanation_for_each_entry(explainer: Explainer) -> None:
    methods = ["gradcam", "layercam", "gradcam"]
    found = explainer.compare(SCENE, methods)
    assert [one.method for one in found] == methods
    np.testing.assert_array_equal(found[0].maps, found[2].maps)
