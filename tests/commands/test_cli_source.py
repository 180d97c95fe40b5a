"""`graftcam explain` on a model that is no artifact yet: it is exported once, into the cache."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torchvision import models

from graftcam.cli import main
from graftcam.commands import artifact
from graftcam.exporter import UnprovenError
from graftcam.runtime import Explainer
from support.artifacts import spec, write_artifact
from support.cli import fail, refuse, succeed
from support.images import photo, write_images
from support.interpreter import python
from support.torch_hub import hub_without_network
from support.two_outputs import write_two_outputs


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRAFTCAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return write_images(tmp_path / "photos", [photo(24, 32)]) / "0.png"


@pytest.fixture
def plain(tmp_path: Path, cache: Path) -> Path:
    """A file of two outputs; its classes are the three channels."""
    return write_two_outputs(tmp_path / "plain.onnx")


def test_a_plain_file_is_exported_once_and_then_taken_from_the_cache(
    plain: Path, picture: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ("explain", plain, picture, "-o", tmp_path / "out", "--preprocess", "unit,squash")
    first = succeed(*given, "--json")
    assert f"exported {plain} (layer layer, verified) -> {cache}" in first.stderr
    assert "note: " not in first.stderr
    (made,) = cache.glob("*/plain.onnx")
    assert Explainer(made).spec.verification.verdict == "pass"
    assert Explainer(made).spec.preprocess is None
    monkeypatch.setattr(artifact, "need_exporter", None)  # which an export calls first
    again = succeed(*given, "--json")
    assert f"{plain}: from the cache, {made}" in again.stderr
    assert again.stdout == first.stdout
    assert [one["name"] for one in json.loads(again.stdout)] == ["0"]


def test_what_decides_the_artifact_decides_the_entry(
    plain: Path, picture: Path, cache: Path, tmp_path: Path
) -> None:
    names = tmp_path / "names.txt"
    names.write_text("red\ngreen\nblue")
    given = ("explain", plain, picture, "-o", tmp_path / "out", "--preprocess", "unit", "--json")
    wanted = (
        ([], "layer", "first"),
        (["--output", "second"], "other", "second"),
        (["--output", "second", "--layer", "other"], "other", "second"),
        (["--labels", names, "--class", "green"], "layer", "first"),
        (["--method", "saliency"], "layer", "first"),
    )
    for count, (options, layer, output) in enumerate(wanted, 1):
        (row,) = json.loads(succeed(*given, *options).stdout)
        assert row["layer"] == layer
        found = [Explainer(one).spec for one in cache.glob("*/plain.onnx")]
        assert len(found) == count
        assert output in [one.score.output for one in found]
    names.write_text("rot\ngruen\nblau")
    assert "unknown label 'green'" in fail(*given, "--labels", names, "--class", "green")
    plain.write_bytes(plain.read_bytes().replace(b"two", b"owt"))
    succeed(*given)
    assert len([*cache.glob("*/plain.onnx")]) == len(wanted) + 2


def test_weights_beside_the_file_and_versions_of_packages_decide_too(
    plain: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, path = onnx.load(plain), tmp_path / "beside.onnx"
    bias = np.ones((1, 3, 8, 8), np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(bias, "bias"))
    model.graph.node.insert(0, onnx.helper.make_node("Mul", ["x", "bias"], ["scaled"]))
    model.graph.node[1].input[0] = "scaled"
    onnx.save_model(
        model, path, save_as_external_data=True, location="w.bin", size_threshold=100
    )  # fmt: skip
    given = ("explain", path, picture, "-o", tmp_path / "out", "--preprocess", "unit")
    assert "exported" in succeed(*given).stderr
    assert "from the cache" in succeed(*given).stderr
    data = (tmp_path / "w.bin").read_bytes()
    (tmp_path / "w.bin").write_bytes(data.replace(bias.tobytes(), (2 * bias).tobytes()))
    assert "exported" in succeed(*given).stderr
    monkeypatch.setattr(artifact, "_version", lambda *_: "9.9")
    assert "exported" in succeed(*given).stderr


def test_an_entry_that_was_changed_is_made_again(
    plain: Path, picture: Path, cache: Path, tmp_path: Path
) -> None:
    given = ("explain", plain, picture, "-o", tmp_path / "out", "--preprocess", "unit")
    succeed(*given)
    (made,) = cache.glob("*/plain.onnx")
    whole = made.read_bytes()
    made.write_bytes(whole[:-9])
    assert "exported" in succeed(*given).stderr
    assert len(made.read_bytes()) == len(whole)


def test_a_folder_of_photographs_is_explained_with_a_plain_file(
    plain: Path, picture: Path, tmp_path: Path
) -> None:
    given = ("explain", plain, picture.parent, "-o", tmp_path / "out", "--preprocess", "unit")
    assert "explained 1 ->" in succeed(*given).stdout
    assert "explained 1, 1 of these in an earlier run" in succeed(*given).stdout


def test_the_cache_is_listed_and_cleared(
    plain: Path, picture: Path, cache: Path, tmp_path: Path
) -> None:
    assert succeed("cache").stdout.startswith(f"{cache}: 0 artifacts, 0.0 MB")
    succeed("explain", plain, picture, "-o", tmp_path / "out", "--preprocess", "unit")
    row, place = succeed("cache").stdout.splitlines()
    assert row.endswith(f" s    {plain}")
    assert place == f"{cache}: 1 artifact, 0.0 MB (another folder: GRAFTCAM_CACHE)"
    named = (
        "--output",
        "second",
        "--layer",
        "other",
        "--shape",
        "x=?,3,8,8",
        "--method",
        "saliency",
    )
    succeed("explain", plain, picture, "-o", tmp_path / "out", "--preprocess", "unit", *named)
    newest, oldest = json.loads(succeed("cache", "--json").stdout)["entries"]
    assert Path(newest["path"]).parent.parent == cache
    options = "--shape x=?,3,8,8 --layer other --output second --extra input_gradients"
    assert (oldest["source"], newest["source"]) == (str(plain), f"{plain} {options}")
    assert succeed("cache", "--clear").stdout.startswith("removed 2 artifacts, 0.0 MB, from ")
    assert json.loads(succeed("cache", "--clear", "--json").stdout)["removed"] == 0
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_refused_before_the_export(
    plain: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFTCAM_CACHE", str(plain / "cache"))
    said = refuse("explain", plain, picture, "-o", tmp_path / "out")
    assert "plain.onnx is no folder; set GRAFTCAM_CACHE to a folder that can be written" in said


def test_photographs_are_looked_at_before_the_export(
    plain: Path, cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "no.png").write_bytes(b"no photograph")
    for name in ("no.png", "missing.png"):
        said = refuse("explain", plain, tmp_path / name, "-o", tmp_path / "out")
        assert name in said
    assert not cache.exists()


def test_what_cannot_be_proven_is_not_explained(
    plain: Path, picture: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unproven(*_: Any, **__: Any) -> None:
        raise UnprovenError("give it more time with --verify-seconds")

    monkeypatch.setattr("graftcam.exporter.export", unproven)
    said = fail("explain", plain, picture, "-o", tmp_path / "out", code=3)
    assert "--verify-seconds; these are options of `graftcam export " in said
    assert list(cache.iterdir()) == []


def test_missing_packages_are_named_with_the_command(
    plain: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnx" else name)
    said = refuse("explain", plain, picture, "-o", tmp_path / "out")
    assert "plain.onnx is no artifact and must be exported; onnx missing: pip install" in said


def test_an_artifact_needs_nothing_of_the_exporter(picture: Path, tmp_path: Path) -> None:
    path = write_artifact(tmp_path / "m.onnx")
    words = ["explain", str(path), str(picture), "-o", str(tmp_path / "out")]
    code = (
        "import sys\n"
        "from graftcam.cli import main\n"
        f"main({words}, standalone_mode=False)\n"
        "print([one for one in ('torch', 'onnx', 'graftcam.exporter') if one in sys.modules])"
    )
    assert python(code).splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "missing.onnx",
            "missing.onnx: no such file; give an artifact, an ONNX file, torchvision:",
        ),
        ("resnet50", "resnet50: no such file; give an artifact, an ONNX file, torchvision:NAME"),
        ("my.models:build", "`graftcam export my.models:build -o FILE.onnx`"),
        ("text.onnx", "cannot read text.onnx as ONNX"),
        ("weights.pt", "an artifact of it with `graftcam export weights.pt -o FILE.onnx`"),
        ("torchvision:resnet5", "torchvision has no model 'resnet5'; did you mean resnet50"),
        ("timm:resnet5", "timm has no model 'resnet5'; did you mean"),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(
    picture: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str,
    message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("text.onnx").write_text("text")
    torch.save({"a": torch.zeros(1)}, "weights.pt")
    assert message in refuse("explain", source, picture, "-o", "out")
    assert not Path("out").exists()


def test_an_artifact_takes_no_option_of_an_export(picture: Path, tmp_path: Path) -> None:
    path = write_artifact(tmp_path / "m.onnx")
    given = ("explain", path, picture, "-o", tmp_path / "out")
    assert "leave --weights, --shape out" in refuse(*given, "--weights", "w", "--shape", "3,8,8")
    bare = write_artifact(tmp_path / "bare.onnx", spec(preprocess=None))
    assert "bare.onnx stores no preprocessing; " in refuse("explain", bare, *given[2:])


def test_a_named_model_has_its_published_weights(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = hub_without_network(tmp_path, monkeypatch)
    picture = write_images(tmp_path / "photos", [photo(90, 120)]) / "0.png"
    given = ("explain", "torchvision:squeezenet1_1", picture, "-o", tmp_path / "out")
    said = refuse(*given)
    file = "squeezenet1_1-b8a52dc0.pth"
    place = weights / file
    assert f"get https://download.pytorch.org/models/{file} and put it at {place}" in said
    torch.manual_seed(0)
    torch.save(models.squeezenet1_1().state_dict(), place)
    result = succeed(*given, "--shape", "3,64,64", "--json")
    assert "exported torchvision:squeezenet1_1 (layer " in result.stderr
    assert "random weights" not in result.stderr
    (row,) = json.loads(result.stdout)
    assert row["classes"][0]["label"] in models.SqueezeNet1_1_Weights.DEFAULT.meta["categories"]


def test_the_command_says_what_it_takes() -> None:
    text = " ".join((main.commands["explain"].help or "").split())
    assert "or an ONNX file, torchvision:NAME or timm:NAME" in text
