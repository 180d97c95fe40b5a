"""`graftcam page` writes a page of static files, or says in one line why not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graftcam.commands import page
from graftcam.runtime.page import FILES
from graftcam.runtime.page.ort_files import VERSION
from support.artifacts import spec, write_artifact
from support.cli import fail, refuse, succeed
from support.paths import ROOT

NAMES = (
    "ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm",
    "ort.webgpu.min.mjs", "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)  # fmt: skip
IMAGES = ROOT / "demo" / "photos"


@pytest.fixture
def ort(tmp_path: Path) -> Path:
    """A folder like that of the package, with empty files."""
    dist = tmp_path / "node_modules" / "onnxruntime-web" / "dist"
    dist.mkdir(parents=True)
    for name in NAMES:
        (dist / name).touch()
    return tmp_path


@pytest.fixture
def web(tmp_path: Path) -> Path:
    return write_artifact(tmp_path / "patches.onnx", metadata=spec(profile="web").to_json())


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_folder_holds_all_that_the_page_loads(web: Path, ort: Path, tmp_path: Path) -> None:
    to = tmp_path / "site"
    said = succeed("page", web, "-o", to, "--ort", ort, "--images", IMAGES)
    assert f"{to / 'index.html'}: patches" in said.stdout
    assert f"python -m http.server --directory {to}" in said.stderr
    own = {f"page/{path.name}" for path in FILES.iterdir()} - {"page/index.html"}
    photos = {f"images/{name}.jpg" for name in ("astronaut", "cat", "coffee")}
    resizers = {"page/resize_linear.onnx", "page/resize_cubic.onnx"}
    assert files(to) == {
        "index.html", "page.json", "models/patches.onnx", *own, *photos, *resizers,
        *(f"ort/{name}" for name in NAMES),
    }  # fmt: skip
    listed = json.loads((to / "page.json").read_text())
    assert listed["models"] == [{"name": "patches", "file": "patches.onnx"}]
    assert listed["images"][1] == {"file": "cat.jpg", "words": "cat"}
    assert listed["methods"]["gradcam"] == "Grad-CAM"
    html = (to / "index.html").read_text()
    assert "page/local.js" in html
    assert "page/remote.js" not in html
    assert "Content-Security-Policy" in html


def test_everything_that_the_page_names_exists() -> None:
    """Modules import each other and the HTML names them: nothing is forgotten or left over."""
    known = {path.name for path in FILES.iterdir()}
    texts = {path.name: path.read_text("utf-8") for path in FILES.iterdir()}
    named = {
        name for name in known for file, text in texts.items()
        if file != name and (f'"./{name}"' in text or f'"page/{name}"' in text)
    }  # fmt: skip
    assert known - named == {"index.html", "local.js"}  # which the command names


def test_models_of_one_name_get_two_names(web: Path, ort: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / web.name
    other.parent.mkdir()
    other.write_bytes(web.read_bytes())
    succeed("page", web, other, "-o", tmp_path / "site", "--ort", ort)
    listed = json.loads((tmp_path / "site" / "page.json").read_text())
    assert [one["name"] for one in listed["models"]] == ["patches", "patches-2"]


def test_onnxruntime_web_is_found_in_a_folder_above(
    web: Path, ort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = ort / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    succeed("page", web, "-o", tmp_path / "site")


def test_without_onnxruntime_web_it_says_how_to_get_it(
    web: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = refuse("page", web, "-o", tmp_path / "site")
    assert (
        f"install it by `npm install onnxruntime-web@{VERSION}`, give its folder with --ort" in said
    )
    assert not (tmp_path / "site").exists()
    monkeypatch.setenv("PATH", "")
    assert "npm is missing" in refuse("page", web, "-o", tmp_path / "site", "--fetch")
    both = fail("page", web, "-o", tmp_path / "site", "--fetch", "--ort", tmp_path, code=2)
    assert "leave one out" in both


@pytest.mark.parametrize("failing", [True, False])
def test_npm_fetches_the_package(
    web: Path, ort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: bool
) -> None:
    """A program in npm's place packs what the fixture has, or fails."""
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    work = (
        "echo 'npm error 404 not found' >&2; exit 1" if failing
        else f"mkdir package && cp -r {ort}/node_modules/onnxruntime-web/dist package/ && "
        "tar -czf onnxruntime-web.tgz package && rm -r package"
    )  # fmt: skip
    npm.write_text(f"#!/bin/sh\nPATH=/bin:/usr/bin; {work}\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(npm.parent))
    to = tmp_path / "site"
    if failing:
        assert "by npm: npm error 404 not found" in refuse("page", web, "-o", to, "--fetch")
    else:
        succeed("page", web, "-o", to, "--fetch")
        assert {f"ort/{name}" for name in NAMES} <= files(to)


def test_the_version_is_that_of_the_tests() -> None:
    package = json.loads((ROOT / "examples" / "browser" / "package.json").read_text())
    assert package["dependencies"]["onnxruntime-web"] == VERSION


def test_a_folder_with_files_is_left_alone(web: Path, ort: Path, tmp_path: Path) -> None:
    to = tmp_path / "site"
    to.mkdir()
    (to / "notes.txt").write_text("mine")
    assert f"{to} has files; give a new folder" in refuse("page", web, "-o", to, "--ort", ort)
    assert files(to) == {"notes.txt"}


def test_what_no_browser_can_use_is_refused(
    artifact: Path, ort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = tmp_path / "site"
    bare = write_artifact(
        tmp_path / "bare.onnx", metadata=spec(profile="web", preprocess=None).to_json()
    )
    newer = write_artifact(tmp_path / "newer.onnx", metadata='{"version": 99}')
    text = tmp_path / "notes.txt"
    text.write_text("no model")
    wrong = (
        (
            artifact,
            "has the profile default, whose inputs have defaults, and JavaScript cannot",
        ),
        (bare, "bare stores no preprocessing, so that a browser cannot prepare images"),
        (newer, "99"),
        (text, "is no model"),
        (tmp_path / "nothing.onnx", "no such file"),
    )
    for model, words in wrong:
        assert words in refuse("page", model, "-o", to, "--ort", ort)
    good = write_artifact(tmp_path / "good.onnx", metadata=spec(profile="web").to_json())
    empty = tmp_path / "empty"
    empty.mkdir()
    for images, words in (
        (text, "is no image that browsers show"),
        (empty, "has no images"),
        (tmp_path / "lost.png", "no such file"),
    ):
        assert words in refuse("page", good, "-o", to, "--ort", ort, "--images", images)
    incomplete = tmp_path / "incomplete"
    incomplete.mkdir()
    (incomplete / NAMES[0]).touch()
    said = refuse("page", good, "-o", to, "--ort", incomplete)
    assert f"{incomplete} has no {NAMES[1]}" in said
    assert not to.exists()


def test_a_plain_model_is_exported_for_the_web(
    ort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The export itself is tested elsewhere; here only what it is asked for."""
    asked = []
    artifact = write_artifact(tmp_path / "made.onnx", metadata=spec(profile="web").to_json())
    monkeypatch.setattr(page, "artifact_of", lambda *given: asked.append(given) or artifact)
    succeed("page", "torchvision:resnet18", "-o", tmp_path / "site", "--ort", ort)
    source, wanted = asked[0][:2]
    assert source == "torchvision:resnet18"
    assert wanted.profile == "web"
    assert wanted.described(source) == "torchvision:resnet18 --profile web"
