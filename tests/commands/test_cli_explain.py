"""`graftcam explain`: which files it writes, and how they are drawn."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import Result

from graftcam.commands.explain import explain as explain_command
from graftcam.runtime import Explainer, Request, figure
from graftcam.runtime.methods.table import METHODS
from support.artifacts import SCENE, write_artifact, write_segmenter, write_two_layers
from support.cli import fail, succeed
from support.images import read_rgb, write_images
from support.methods import add_method


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an artifact and an image."""
    made = tmp_path_factory.mktemp("patches")
    write_artifact(made / "model.onnx")
    cv2.imwrite(str(made / "scene.png"), SCENE[:, :, ::-1])
    return made


def explain(folder: Path, out: Path, *arguments: object) -> Result:
    return succeed("explain", folder / "model.onnx", folder / "scene.png", "-o", out, *arguments)


def names(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir())


def test_a_style_a_colormap_and_a_scale(folder: Path, tmp_path: Path) -> None:
    explain(
        folder, tmp_path, "--class", "red", "--class", "green", "--style", "heatmap",
        "--colormap", "viridis", "--scale", "shared",
    )  # fmt: skip
    found = Explainer(folder / "model.onnx").explain(SCENE, ["red", "green"])
    for label in ("red", "green"):
        drawn = found.draw(label, style="heatmap", colormap="viridis", scale="shared")
        np.testing.assert_array_equal(read_rgb(tmp_path / f"scene-{label}.png"), drawn)


def test_a_panel_of_several_methods(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_method(monkeypatch, "minus", lambda *all: -METHODS["gradcam"].function(*all), signed=True)
    chosen = ["--method", "gradcam", "--method", "minus", "--top", "2", "--style", "contour"]
    result = explain(folder, tmp_path, *chosen, "--panel", "--json")
    assert names(tmp_path) == ["scene-panel.png"]
    explainer = Explainer(folder / "model.onnx")
    found = explainer.compare(folder / "scene.png", ["gradcam", "minus"], top=2)
    np.testing.assert_array_equal(
        read_rgb(tmp_path / "scene-panel.png"), figure(found, style="contour")
    )
    rows = json.loads(result.stdout)
    assert [row["method"] for row in rows] == ["gradcam", "minus"]
    assert [row["signed"] for row in rows] == [False, True]
    result = explain(folder, tmp_path / "files", *chosen)
    assert names(tmp_path / "files") == [
        "scene-gradcam-green.png", "scene-gradcam-red.png",
        "scene-minus-green.png", "scene-minus-red.png",
    ]  # fmt: skip
    assert "scene.png  minus" in result.stdout


def test_a_method_given_twice_is_drawn_once(folder: Path, tmp_path: Path) -> None:
    result = explain(folder, tmp_path, "--method", "gradcam", "--method", "gradcam", "--json")
    assert names(tmp_path) == ["scene-red.png"]
    assert len(json.loads(result.stdout)) == 1


@pytest.mark.parametrize("kind", ["jpg", "npy", "json"])
def test_formats(folder: Path, tmp_path: Path, kind: str) -> None:
    result = explain(folder, tmp_path, "--top", "2", "--format", kind)
    found = Explainer(folder / "model.onnx").explain(SCENE, top=2)
    if kind == "jpg":
        assert names(tmp_path) == ["scene-green.jpg", "scene-red.jpg"]
        error = read_rgb(tmp_path / "scene-red.jpg").astype(float) - found.draw("red")
        assert np.abs(error).mean() < 4, "JPEG loses little"
        return
    assert names(tmp_path) == [f"scene.{kind}"]
    assert result.stdout.splitlines()[-1] == f"  -> {tmp_path / f'scene.{kind}'}"
    if kind == "npy":
        np.testing.assert_array_equal(np.load(tmp_path / "scene.npy"), found.maps)
    else:
        entries = json.loads((tmp_path / "scene.json").read_text())["classes"]
        np.testing.assert_array_equal([entry["map"] for entry in entries], found.maps)


def test_options_of_methods_are_read_as_json(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    got: dict[str, object] = {}

    def method(
        *all: object, samples: int = 1, kind: str = "", twice: bool = False, noise_level: float = 0,
    ) -> np.ndarray:  # fmt: skip
        got.update(samples=samples, kind=kind, twice=twice, noise_level=noise_level)
        return METHODS["gradcam"].function(*all)

    add_method(monkeypatch, "odd", method)
    explain(
        folder, tmp_path, "--method", "odd", "--option", "samples=50", "--option", "kind=soft",
        "--option", "twice=True", "--option", "noise-level=0.25",
    )  # fmt: skip
    assert got == {"samples": 50, "kind": "soft", "twice": True, "noise_level": 0.25}


def test_images_of_one_name_become_files_of_different_names(folder: Path, tmp_path: Path) -> None:
    images = [tmp_path / name for name in ("a/x.png", "b/x.png", "x-2.png")]
    for path in images:
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), SCENE[:, :, ::-1])
    out = tmp_path / "out"
    result = succeed(
        "explain", folder / "model.onnx", *images, "--to", out, "--class", "red", "--json"
    )
    assert names(out) == ["x-2-2-red.png", "x-2-red.png", "x-red.png"]
    rows = json.loads(result.stdout)
    assert [row["name"] for row in rows] == ["x", "x-2", "x-2-2"]
    assert [row["image"] for row in rows] == [str(path) for path in images]


def test_every_keyword_of_a_request_is_an_option() -> None:
    options = {name for one in explain_command.params for name in one.opts}
    words = {"classes": "class", "inputs": "input", "progress": "json", "options": "option",
             "boxes": "box", "prompts": "prompt"}  # fmt: skip
    for name in Request.__annotations__:
        assert f"--{words.get(name, name).replace('_', '-')}" in options, name


def test_a_folder_takes_a_region_a_box_and_weights(tmp_path: Path) -> None:
    write_segmenter(tmp_path / "fields.onnx")
    images = write_images(tmp_path / "images", [SCENE])
    cv2.imwrite(str(tmp_path / "mask.png"), np.full(SCENE.shape[:2], 255, np.uint8))
    given = ["explain", tmp_path / "fields.onnx", images, "-o", tmp_path / "out", "--class", "red",
             "--region", tmp_path / "mask.png", "--box", "80,24,96,40"]  # fmt: skip
    succeed(*given)
    found = Explainer(tmp_path / "fields.onnx").explain(SCENE, "red", box=(80, 24, 96, 40))
    (row,) = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").open()]
    assert row["classes"][0]["score"] == pytest.approx(float(found.scores[0]), rel=1e-6)
    assert "takes no score_weights" in fail(*given, "--score-weights", "w.npy")


def test_layers_are_fused_and_images_augmented(folder: Path, tmp_path: Path) -> None:
    model = write_two_layers(tmp_path / "two.onnx")
    result = succeed(
        "explain", model, folder / "scene.png", "-o", tmp_path / "out", "--layer", "fine",
        "--layer", "coarse", "--fuse", "max", "--augment", "flip", "--augment", "scale", "--json",
    )  # fmt: skip
    (row,) = json.loads(result.stdout)
    assert row["augment"] == ["flip", "scale"]
    assert row["layer"] == "max of fine, coarse"


def test_an_empty_map_is_reported_and_drawn_as_such(folder: Path, tmp_path: Path) -> None:
    result = explain(folder, tmp_path, "--class", "empty", "--panel")
    assert "(empty map: no evidence for this class)" in result.stdout
    found = Explainer(folder / "model.onnx").explain(folder / "scene.png", "empty")
    np.testing.assert_array_equal(read_rgb(tmp_path / "scene-panel.png"), found.panel())


def test_a_folder_takes_the_same_looks_by_one_method(folder: Path, tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", [SCENE])
    given = ["explain", folder / "model.onnx", images, "-o", tmp_path / "out", "--class", "red"]
    look = ["--style", "heatmap", "--colormap", "viridis", "--augment", "flip"]
    succeed(*given, *look)
    found = Explainer(folder / "model.onnx").explain(SCENE, "red", augment="flip")
    drawn = found.draw(style="heatmap", colormap="viridis")
    stored = read_rgb(tmp_path / "out" / "overlays" / "0.png-red.png")
    np.testing.assert_array_equal(stored, drawn)
    for more in (["--panel"], ["--method", "gradcam", "--method", "gradcam"]):
        assert "a folder takes one --method and no --panel" in fail(*given, *more, code=2)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--method", "gradcan"], 1, "unknown method 'gradcan'; did you mean 'gradcam'"),
        (["--option", "samples=3"], 1, "none of the methods gradcam takes 'samples'"),
        (["--option", "layer=x"], 1, "none of the methods gradcam takes 'layer'"),
        (["--option", "samples"], 2, "'samples' is not of the form name=value"),
        (["--layer", "features.0", "--layer", "x"], 1, "unknown layer 'x'"),
        (["--panel", "--format", "npy"], 2, "--panel writes an image, --format npy does not"),
        (["--style", "lines"], 2, "'lines' is not one of"),
        (["--colormap", "jett"], 1, "unknown colormap 'jett'"),
        (["--class", "red", "--top", "2"], 2, "--class those that it names; leave one out"),
        (["--fuse", "max"], 2, "--fuse joins the maps of several layers; give two --layer"),
        (["--layer", "features.0", "--fuse", "mean"], 2, "--fuse joins the maps"),
        (["--style", "contour", "--alpha", "0.5"], 2, "--style contour has none; leave it out"),
        (["--style", "mask", "--colormap", "jet"], 2, "--style mask draws no colours"),
        (["--format", "npy", "--scale", "shared"], 2, "which --scale does not change"),
        (["--format", "json", "--style", "mask"], 2, "which --style does not change"),
        (["--format", "npy", "--dilation", "1"], 2, "which --dilation does not change"),
        (["--style", "mask", "--opacity", "even"], 2, "--style mask has none; leave it out"),
        (["--style", "mask", "--bar"], 2, "--style mask draws no colours; leave --bar out"),
        (["--percentile", "0"], 2, "0.0 is not in the range 0<x<=100"),
        (["--dilation", "65"], 2, "65 is not in the range 0<=x<=64"),
        (["--width", "3"], 2, "--width is for --format svg and pdf, not png"),
        (["--fps", "3"], 2, "--fps is for --format gif and mp4, not png"),
        (["--format", "gif", "--bar"], 2, "--format gif has no colour bars"),
        (["--format", "mp4", "--panel"], 2, "use png, jpg, svg or pdf"),
        (["--format", "avi"], 2, "'avi' is not one of"),
    ],
)
def test_refusals_write_nothing(
    folder: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    given = [folder / "model.onnx", folder / "scene.png", "-o", tmp_path, *arguments]
    assert message in fail("explain", *given, code=code)
    assert names(tmp_path) == []


def test_a_figure_for_print_or_an_animation_holds_all_methods(folder: Path, tmp_path: Path) -> None:
    given = [folder / "model.onnx", folder / "scene.png", folder / "scene.png", "--top", "2"]
    methods = ["--method", "gradcam", "--method", "layercam"]
    for suffix in ("svg", "gif"):
        succeed("explain", *given, *methods, "--format", suffix, "-o", tmp_path / "out")
        succeed("explain", *given[:2], *methods, "-o", tmp_path / f"one.{suffix}")
    assert names(tmp_path / "out") == ["scene-2.gif", "scene-2.svg", "scene.gif", "scene.svg"]
    assert names(tmp_path) == ["one.gif", "one.svg", "out"]
    assert (tmp_path / "out/scene.svg").read_text("utf-8").count("<image") == 1 + 4 + 1
    succeed("explain", *given[:2], "-o", tmp_path / "bar", "--bar", "--percentile", "90",
            "--dilation", "1")  # fmt: skip
    succeed("explain", *given[:2], "-o", tmp_path / "none")
    wide, narrow = (read_rgb(next((tmp_path / one).iterdir())) for one in ("bar", "none"))
    assert wide.shape[1] > narrow.shape[1] + 100


def test_a_folder_takes_the_looks_and_formats(folder: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.png").write_bytes((folder / "scene.png").read_bytes())
    succeed("explain", folder / "model.onnx", photos, "-o", tmp_path / "out", "--format", "gif",
            "--fps", "2", "--opacity", "even", "--top", "2")  # fmt: skip
    assert names(tmp_path / "out" / "overlays") == ["a.png.gif"]
