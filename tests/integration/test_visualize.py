"""Gradient ascent on the input: what it reaches, that it repeats, and how it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graftcam.demo.data import SIZE
from graftcam.exporter import TorchExport
from graftcam.runtime import Explainer
from graftcam.runtime.errors import ImageError, InputError
from graftcam.runtime.session.session import Session
from graftcam.runtime.visualize.ascent import pace, variation_slope, visualize
from graftcam.runtime.visualize.curve import draw_curve
from graftcam.runtime.visualize.objective import Objective
from graftcam.runtime.visualize.settings import PARAMETRISATIONS, PRESETS, Ascent, Parametrisation
from support.cli import fail, succeed
from support.exports import export_demo
from support.images import read_rgb

SEVEN = np.array([[7]])
FEW = Ascent(steps=40)
PIXELS = PRESETS["pixels"]


def export_digits(path: Path, **options: Any) -> Path:
    return export_demo(path, **{"extras": "input_gradients", **options})


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_digits(tmp_path_factory.mktemp("digits") / "digits.onnx")


@pytest.fixture(scope="module")
def channels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("channels") / "channels.onnx"
    return export_digits(path, score="channel", layers=["layer2"], labels=None)


@pytest.mark.parametrize("parametrisation", PARAMETRISATIONS)
def test_the_image_scores_far_above_the_start_and_any_noise(
    digits: Path, parametrisation: Parametrisation
) -> None:
    seen: list[tuple[int, int]] = []
    ascent = replace(PRESETS[parametrisation], steps=80)
    found = visualize(Session(digits), SEVEN, ascent, progress=lambda *done: seen.append(done))
    assert seen == [(step, 80) for step in range(1, 81)]
    explainer = Explainer(digits)
    random = np.random.default_rng(0)
    noise = [random.integers(0, 256, (SIZE, SIZE, 3), np.uint8) for _ in range(20)]
    grey = [np.full((SIZE, SIZE, 3), level, np.uint8) for level in (0, 128, 255)]
    others = [one.scores[0] for one in explainer.explain(noise + grey, 7)]
    assert found.score > max(*others, found.start) + 5
    assert len(found.curve) == 80
    assert np.mean(found.curve[-5:]) > np.mean(found.curve[:5]) + 5
    # The saved image has the reported score, and its best class is the chosen one.
    again = explainer.explain(found.image, [7, -1])
    assert again.labels[1] == "seven"
    np.testing.assert_allclose(again.scores[0], found.score, rtol=1e-4)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(digits: Path) -> None:
    session = Session(digits, threads=1)
    first, second = (visualize(session, SEVEN, Ascent(steps=6)) for _ in range(2))
    assert first.image.tobytes() == second.image.tobytes()
    assert first.curve == second.curve
    other = visualize(session, SEVEN, Ascent(steps=6, seed=1))
    assert first.image.tobytes() != other.image.tobytes()


def test_a_channel_a_unit_and_a_part_of_a_layer(channels: Path) -> None:
    session = Session(channels)
    whole = visualize(session, np.array([[3]]), FEW)
    assert whole.score > 3 * max(abs(whole.start), 0.05)
    # What the unit does not see fades from noise to grey.
    calm = replace(PIXELS, steps=40, jitter=0, blur=0, decay=0.1, variation=0)
    unit = visualize(session, np.array([[3]]), calm, unit=[12, 6])
    assert unit.score > unit.start
    touched = np.abs(unit.image.astype(int) - 128).max(2) > 40
    rows, columns = np.nonzero(touched)
    # Cell (12, 6) of 24 x 24 is centred on pixel (50, 26); its field of view is 30 pixels wide.
    assert (abs(rows - 50) < 20).all()
    assert (abs(columns - 26) < 20).all()
    region = np.zeros((24, 24), np.float32)
    region[:, :6] = 1
    part = visualize(session, np.array([[3]]), calm, region=region)
    moved = np.abs(part.image.astype(int) - 128).max(2) > 40
    assert moved[:, :24].mean() > 0.1
    assert not moved[:, 48:].any()


def test_each_regulariser_does_what_it_is_for(digits: Path) -> None:
    session = Session(digits)
    bare = {"steps": 10, "decay": 0.0, "blur": 0.0, "jitter": 0, "variation": 0.0}

    def made(**options: Any) -> np.ndarray:
        return visualize(session, SEVEN, replace(PIXELS, **{**bare, **options})).image.astype(float)

    def roughness(image: np.ndarray) -> float:
        return float(np.abs(np.diff(image, axis=0)).mean() + np.abs(np.diff(image, axis=1)).mean())

    plain = made()
    assert np.abs(made(decay=0.2) - 128).mean() < 0.7 * np.abs(plain - 128).mean()
    assert roughness(made(blur=1.0, blur_every=2)) < 0.7 * roughness(plain)
    assert roughness(made(variation=1.0)) < 0.7 * roughness(plain)
    assert (made(jitter=3) != plain).any()
    long = visualize(session, SEVEN, replace(PIXELS, **{**bare, "rate": 0.5})).image
    assert (long.min(), long.max()) == (0, 255)


def test_each_motion_of_the_copies_changes_the_ascent(digits: Path) -> None:
    session = Session(digits)
    still = Ascent(steps=2, jitter=0, shrink=1, enlarge=1, rotation=0, noise=0, cooling=0)

    def made(**options: Any) -> np.ndarray:
        return visualize(session, SEVEN, replace(still, **options)).image

    # Copies that do not move are the same, so their mean is each of them.
    np.testing.assert_allclose(made().astype(int), made(batch=1), atol=1)
    for options in (
        {"jitter": 5}, {"shrink": 2.0}, {"enlarge": 2.0}, {"rotation": 20.0}, {"noise": 0.1},
        {"cooling": 1.0}, {"variation": 0.5}, {"decay": 0.1}, {"blur": 1.0, "blur_every": 1},
    ):  # fmt: skip
        assert (made(**options) != made()).mean() > 0.1, options
    with pytest.raises(InputError, match=r"decay=0\.1 changes magnitudes"):
        made(parametrisation="phase", decay=0.1)


def test_the_rate_falls_to_zero_at_the_end() -> None:
    ascent = Ascent(steps=10, cooling=0.5)
    paces = [pace(step, ascent) for step in range(1, 11)]
    np.testing.assert_allclose(paces, [1, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])
    assert {pace(step, replace(ascent, cooling=0)) for step in (1, 10)} == {1}


def test_copies_run_one_by_one_in_a_fixed_batch_of_one(digits: Path, tmp_path: Path) -> None:
    fixed = export_digits(tmp_path / "fixed.onnx", trace=TorchExport(dynamic_batch=False))
    images = np.random.default_rng(0).random((3, 3, SIZE, SIZE), np.float32)
    for one, other in zip(
        *(Objective(Session(path), SEVEN).slopes(images) for path in (digits, fixed)), strict=True
    ):
        assert len(one) == 3
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * np.abs(one).max())


def test_the_gradient_of_the_total_variation_is_that_of_its_definition() -> None:
    pixels = np.random.default_rng(0).random((2, 4, 5)).astype(np.float32)
    leaf = torch.from_numpy(pixels).clone().requires_grad_(True)
    (leaf.diff(dim=1).abs().sum() + leaf.diff(dim=2).abs().sum()).backward()
    np.testing.assert_array_equal(variation_slope(pixels), leaf.grad.numpy())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps=0; give a number from 1 on"),
        ({"rate": 0.0}, "rate=0.0; give a number larger than 0"),
        ({"blur": float("nan")}, "blur=nan"),
        ({"jitter": -1}, "jitter=-1; give a number from 0 on"),
        ({"decay": 1.5}, "decay=1.5; give a number from 0 to 1"),
        ({"shrink": 0.5}, "shrink=0.5; give a number from 1 on"),
        ({"parametrisation": "wavelets"}, "'wavelets'; give one of fourier, phase, pixels"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Ascent(**options)


def test_the_error_names_the_option_that_adds_what_is_missing(digits: Path, tmp_path: Path) -> None:
    path = export_digits(tmp_path / "m.onnx", extras=[], layers="layer3")
    with pytest.raises(InputError, match=r"'input_gradients'} \(--extra input_gradients\)"):
        visualize(Session(path), SEVEN)
    path = export_digits(path, preprocess=None, layers="layer3")
    with pytest.raises(ImageError, match="stores no preprocessing"):
        visualize(Session(path), SEVEN)
    with pytest.raises(InputError, match="takes no region: its score has no positions"):
        visualize(Session(digits), SEVEN, unit=[1, 2])


def test_a_unit_outside_of_the_layer_is_refused(channels: Path) -> None:
    for unit in ([24, 0], [1], [-1, 0]):
        with pytest.raises(InputError, match=r"is outside the \[24, 24\] positions"):
            visualize(Session(channels), SEVEN, unit=unit)


def test_the_command_writes_image_curve_and_numbers(
    digits: Path, channels: Path, tmp_path: Path
) -> None:
    out, curve = tmp_path / "seven.png", tmp_path / "curve.png"
    arguments = ("-o", out, "--steps", "5", "--curve", curve)
    result = succeed("visualize", digits, "--class", "seven", *arguments)
    assert "for noise" in result.stdout
    assert read_rgb(out).shape == (SIZE, SIZE, 3)
    assert read_rgb(curve).std() > 0
    numbers = json.loads((tmp_path / "curve.json").read_text("utf-8"))
    assert len(numbers["curve"]) == numbers["ascent"]["steps"] == 5
    unit = ("--channel", "3", "--unit", "2,3", "--jitter", "0", "--parametrisation", "pixels")
    result = succeed("visualize", channels, *unit, *arguments, "--json")
    assert json.loads(result.stdout)["score"] > 0
    weights = tmp_path / "w.npy"
    np.save(weights, np.eye(10)[7])
    linear = export_digits(tmp_path / "linear.onnx", score="linear", layers="layer3")
    result = succeed("visualize", linear, "--score-weights", weights, *arguments, "--json")
    expected = Explainer(linear).explain(out, score_weights=np.eye(10)[7]).scores[0]
    np.testing.assert_allclose(json.loads(result.stdout)["score"], expected, rtol=1e-4)


def test_the_command_refuses_what_does_not_fit(
    digits: Path, channels: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.png"
    for model, arguments, code, message in (
        (digits, (), 2, "give one of --class, --channel, --score-weights and --prompt"),
        (digits, ("--class", "1", "--channel", "2"), 2, "give one of"),
        (digits, ("--channel", "2"), 1, "exported with --score channel"),
        (channels, ("--class", "2"), 1, "--channel goes with"),
        (channels, ("--channel", "40"), 1, "0 to 39"),
        (digits, ("--class", "ate"), 1, "ate"),
    ):
        assert message in fail("visualize", model, *arguments, "-o", out, code=code)
    assert not out.exists()


def test_a_curve_is_drawn_over_its_range_and_breaks_where_it_is_no_number() -> None:
    def columns(values: list[float]) -> np.ndarray:
        """The columns of the curve, which alone is coloured."""
        drawn = draw_curve(values, "step", "score")
        assert drawn.shape == (360, 640, 3)
        return np.flatnonzero((np.ptp(drawn, axis=2) > 30).any(axis=0))

    whole = columns([0.0, 1.0, 4.0, 3.0, 2.0])
    first, last = whole[0], whole[-1]
    assert last - first > 500
    assert len(whole) == last - first + 1
    broken = columns([0.0, 1.0, float("nan"), 3.0, 2.0])
    quarter = (last - first) / 4
    np.testing.assert_allclose(np.diff(broken).max(), 2 * quarter, atol=6)
    assert (broken[0], broken[-1]) == (first, last)
    np.testing.assert_array_equal(columns([2.0, 2.0]), whole)
    assert columns([]).size == columns([3.0]).size == 0
