"""The page that `graftcam serve` gives: what it shows is what the service answers."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from graftcam.runtime import Explainer
from support.browser import (
    LISTEN,
    LOOKS,
    drawn,
    nth_explanation,
    open_page,
    screenshot,
    violations,
    watched,
)
from support.served import picture, process, write_models
from support.small_detector import write_scene

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

EXPLAIN = "**/api/models/*/explain"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def service(models: dict[str, Path]) -> Generator[str]:
    named = [f"{name}={path}" for name, path in models.items()]
    with process(*named, "--max-pixels", "100000", "--max-bytes", "300000") as (_, port):
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(picture())
    return path


@pytest.fixture
def asked(browser: Browser, service: str) -> Generator[Page]:
    """The page of the service."""
    with watched(browser, service) as page:
        yield page


@pytest.fixture
def troubled(browser: Browser, service: str) -> Generator[Page]:
    """The same with a clock that the test moves; the service may fail."""
    page = browser.new_page()
    page.clock.install()
    page.add_init_script(LISTEN)
    open_page(page, service)
    yield page
    page.close()


def test_an_image_is_explained_as_by_the_runtime(
    asked: Page, models: dict[str, Path], photo: Path
) -> None:
    assert "It keeps none of them." in asked.inner_text("#promise")
    asked.set_input_files("#image", photo)
    got = nth_explanation(asked, 1)
    found = Explainer(models["patches"], "cpu").explain(photo)
    assert got["label"] == found.labels[0]
    assert got["score"] == pytest.approx(float(found.scores[0]))
    np.testing.assert_array_equal(np.reshape(got["map"], got["grid"]), found.maps[0])
    assert [one["label"] for one in got["predictions"]] == asked.locator(
        "#ranking .label"
    ).all_inner_texts()
    assert "by the service" in asked.inner_text("#status")
    heat = drawn(asked, "heat")[..., 3] / 255
    np.testing.assert_allclose(heat, found.heatmaps[0], atol=0.6 / 255)
    other = got["predictions"][1]["label"]
    asked.fill("#class", other)
    asked.press("#class", "Enter")
    assert nth_explanation(asked, 2)["label"] == other
    assert f"class={other}" in asked.url


def test_methods_and_layers_are_those_of_the_service(
    asked: Page, models: dict[str, Path], photo: Path
) -> None:
    asked.select_option("#model", "layers")
    asked.set_input_files("#image", photo)
    first = nth_explanation(asked, 1)
    explainer = Explainer(models["layers"], "cpu")
    layers = [layer.name for layer in explainer.spec.layers]
    assert asked.locator("#layer option").all_inner_texts() == layers
    assert asked.locator("#method > option", has_text="HiResCAM").count() == 1
    slow = asked.locator("#method optgroup[label='Many runs: slower'] option")
    assert "RISE" in slow.all_inner_texts()
    assert first["layer"] == layers[0]
    asked.select_option("#layer", layers[1])
    assert nth_explanation(asked, 2)["layer"] == layers[1]
    asked.select_option("#method", label="HiResCAM")
    got = nth_explanation(asked, 3)
    found = explainer.explain(photo, layer=layers[1], method="hirescam")
    np.testing.assert_array_equal(np.reshape(got["map"], got["grid"]), found.maps[0])
    assert asked.inner_text(".how").startswith(f"HiResCAM · {layers[1]} · ")


def test_a_signed_map_has_a_scale_of_two_sides(asked: Page, photo: Path) -> None:
    asked.set_input_files("#image", photo)
    nth_explanation(asked, 1)
    asked.select_option("#method", label="CAM")
    got = nth_explanation(asked, 2)
    assert got["signed"]
    assert asked.inner_text(".caption").startswith("Evidence for and against")
    ends = asked.locator(".scale span").all_inner_texts()
    assert ends == ["against", "for"]


def test_a_detectors_boxes_are_explained(asked: Page, tmp_path: Path) -> None:
    squares = ("red", 16, 16, 16), ("blue", 40, 40, 8)
    asked.select_option("#model", "boxes")
    asked.set_input_files("#image", write_scene(tmp_path / "scene.png", *squares))
    got = nth_explanation(asked, 1)
    assert [box["label"] for box in got["detections"]] == ["red", "blue"]
    assert asked.locator(".boxes .box").count() == 2
    asked.locator(".boxes .box", has_text="2").click()
    assert nth_explanation(asked, 2)["number"] == 2
    assert asked.inner_text(".caption").startswith("Evidence for box 2, “blue”")
    asked.select_option("#why", "left")
    assert nth_explanation(asked, 3)["why"] == "left"
    asked.set_input_files("#image", write_scene(tmp_path / "empty.png"))
    nth_explanation(asked, 4)
    assert asked.inner_text(".caption").startswith("No box in this image; the best candidate is")
    asked.locator("#ranking button", has_text="below the threshold: ").click()
    candidate = nth_explanation(asked, 5)
    assert candidate["number"] == 0
    assert asked.inner_text(".caption").startswith(
        f"Evidence for the left edge of a candidate, “{candidate['best']['label']}”"
    )
    asked.locator(".boxes .box").click()
    assert nth_explanation(asked, 6)["number"] == 0
    asked.locator("summary", has_text="About this model").click()
    assert "Verified\nno\n" in asked.inner_text("#facts")


def test_an_image_that_the_service_would_refuse_is_not_sent(asked: Page, tmp_path: Path) -> None:
    sent: list[str] = []
    asked.on("request", lambda request: sent.append(request.method))
    large, heavy = tmp_path / "large.png", tmp_path / "heavy.png"
    large.write_bytes(picture(np.zeros((400, 400, 3), np.uint8)))
    heavy.write_bytes(picture() + bytes(300_000))
    for path, words in (
        (large, "large.png has 0.2 megapixels; at most 0.1 can be taken."),
        (heavy, "heavy.png has 0.3 MB; at most 0.3 MB can be taken."),
    ):
        asked.set_input_files("#image", path)
        asked.locator("#notice-words", has_text=words).wait_for()
    assert "POST" not in sent


def answer(status: int, body: Any = None, **headers: str) -> Callable[[Route], None]:
    return lambda route: route.fulfill(status=status, json=body, headers=headers)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"input": {"image": False}}, "patches takes arrays instead of images"),
        ({"input": {"further": [{"name": "age"}]}}, "patches takes more than an image: age"),
        ({"kind": "linear"}, "patches is asked by weights instead of classes"),
    ],
)
def test_a_model_that_the_page_cannot_ask_says_so(
    browser: Browser, service: str, change: dict[str, Any], words: str
) -> None:
    page = browser.new_page()

    def altered(route: Route) -> None:
        found = route.fetch().json()
        found["models"][0].update(change)
        route.fulfill(json=found)

    page.route("**/api/models", altered)
    page.goto(service)
    page.locator("#notice-words", has_text=words).wait_for()
    page.select_option("#model", "layers")
    page.wait_for_selector("body[data-state=ready]")
    assert not page.locator("#notice").is_visible()
    page.close()


def test_an_answer_of_the_model_before_is_not_shown(asked: Page, photo: Path) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    asked.route("**/api/models/patches/explain", hold)
    asked.set_input_files("#image", photo)
    asked.wait_for_selector(".frame[data-busy]")
    asked.select_option("#model", "layers")
    assert nth_explanation(asked, 1)["layer"] == "fine"
    assert asked.inner_text(".how").startswith("Grad-CAM · fine")
    assert held[0].request.failure is not None  # it was called off
    assert asked.evaluate("explanations.length") == 1


def test_what_the_service_refuses_is_said_in_its_words(troubled: Page, photo: Path) -> None:
    troubled.route(EXPLAIN, answer(400, {"error": "there is no class 'unicorn'"}))
    troubled.set_input_files("#image", photo)
    troubled.locator("#notice-words", has_text="there is no class 'unicorn'").wait_for()
    assert not troubled.locator("#retry").is_visible()  # it would be refused again
    troubled.unroute(EXPLAIN)
    troubled.select_option("#method", "layercam")
    assert nth_explanation(troubled, 1)["method"] == "layercam"
    assert not troubled.locator("#notice").is_visible()


def test_a_service_that_is_gone_can_be_asked_again(troubled: Page, photo: Path) -> None:
    troubled.route(EXPLAIN, lambda route: route.abort())
    troubled.set_input_files("#image", photo)
    troubled.locator("#notice-words", has_text="The service cannot be reached.").wait_for()
    troubled.unroute(EXPLAIN)
    troubled.click("#retry")
    assert nth_explanation(troubled, 1)["label"]


def test_a_busy_service_is_asked_again_when_it_says(troubled: Page, photo: Path) -> None:
    troubled.route(EXPLAIN, answer(429, {"error": "busy"}, **{"Retry-After": "7"}))
    troubled.set_input_files("#image", photo)
    words = "The service is busy. Trying again in 7 s."
    troubled.locator("#notice-words", has_text=words).wait_for()
    troubled.unroute(EXPLAIN)
    troubled.clock.fast_forward(7000)
    assert nth_explanation(troubled, 1)["label"]


def test_a_slow_answer_shows_the_time_and_can_be_stopped(troubled: Page, photo: Path) -> None:
    troubled.route(EXPLAIN, lambda _route: None)  # which is never answered
    troubled.set_input_files("#image", photo)
    troubled.locator("#status", has_text="Explaining …").wait_for()
    assert not troubled.locator("#stop").is_visible()
    troubled.clock.run_for(6000)
    troubled.locator("#status", has_text="6 s so far.").wait_for()
    troubled.click("#stop")
    assert troubled.inner_text("#status") == "Stopped."
    assert troubled.evaluate("explanations.length") == 0


@pytest.mark.parametrize("look", LOOKS)
def test_no_state_has_a_barrier(
    browser: Browser, service: str, photo: Path, tmp_path: Path, look: str
) -> None:
    page = browser.new_page(**LOOKS[look])
    page.add_init_script(LISTEN)
    open_page(page, service)

    def check(state: str) -> None:
        assert violations(page) == [], state
        screenshot(page, f"service-{state}-{look}")

    check("start")
    page.set_input_files("#image", photo)
    nth_explanation(page, 1)
    check("explained")
    page.select_option("#model", "boxes")
    squares = ("red", 16, 16, 16), ("blue", 40, 40, 8)
    page.set_input_files("#image", write_scene(tmp_path / "scene.png", *squares))
    page.wait_for_selector(".box.chosen")
    check("boxes")
    page.close()
