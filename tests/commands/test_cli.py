"""The command line: what it prints, what it writes, and how it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
import pytest
import torch

from graftcam.cli import main
from graftcam.demo.bundled import FOLDER, WEIGHTS
from graftcam.demo.data import LABELS
from graftcam.runtime import Explainer
from support.cli import call, fail, refuse, succeed
from support.exports import exported_digits
from support.images import read_rgb
from support.two_outputs import write_two_outputs

DIGITS = FOLDER / "digits1.png"  # holds a zero, an eight and a seven
TRANSFORM = ["--shape", "3,96,96", "--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25"]


@pytest.fixture(scope="module")
def artifact() -> Path:
    return exported_digits()


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_has_help_and_an_example_and_every_option_has_help(name: str) -> None:
    command = main.commands[name]
    assert command.help
    assert command.epilog
    assert f"graftcam {name}" in command.epilog
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
    succeed(name, "--help")


def test_export_from_a_factory_with_weights_labels_and_transform(tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(LABELS))
    path = tmp_path / "digits.onnx"
    result = succeed(
        "export", "graftcam.demo.model:build", "--weights", WEIGHTS, "--labels", labels,
        *TRANSFORM, "--activation", "sigmoid", "--layer", "layer3", "--layer", "layer2",
        "-o", path, "--json",
    )  # fmt: skip
    report = json.loads(result.stdout)
    assert list(report["layers"]) == ["layer3", "layer2"]
    assert report["verification"]["verdict"] == "pass"
    found = Explainer(path).explain(DIGITS, ["zero", "eight"], layer="layer2")
    assert found.labels == ["zero", "eight"]


def test_export_of_a_saved_program_and_of_an_onnx_file(tmp_path: Path) -> None:
    from graftcam.demo.model import build

    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(
        build().eval(), (torch.zeros(2, 3, 96, 96),), dynamic_shapes=({0: batch},)
    )
    torch.export.save(program, tmp_path / "model.pt2")
    result = succeed(
        "export", tmp_path / "model.pt2", "-o", tmp_path / "a.onnx", "--layer", "layer3",
        "--trust-source",
    )  # fmt: skip
    assert "verified against autograd-float64" in result.output
    assert Explainer(tmp_path / "a.onnx").spec.layers[0].name == "layer3"
    plain = tmp_path / "plain.onnx"
    made = torch.onnx.export(program, dynamo=True, verbose=False)
    made.save(plain)
    result = succeed("export", plain, "-o", tmp_path / "b.onnx", "--profile", "web")
    assert "verified against finite-differences" in result.output
    assert "\nprofile web\n" in call("inspect", tmp_path / "b.onnx").output


def test_export_bakes_methods_and_writes_the_head_beside_the_artifact(tmp_path: Path) -> None:
    path = tmp_path / "digits.onnx"
    result = succeed(
        "export", "graftcam.demo.model:build", "--weights", WEIGHTS, *TRANSFORM, "-o", path,
        "--layer", "layer3", "--extra", "head", "--extra", "layercam", "--extra", "eigencam",
    )  # fmt: skip
    assert "verified against autograd-float64" in result.output
    assert "head of layer3: digits.head.onnx" in result.stdout
    assert sorted(one.name for one in tmp_path.iterdir()) == ["digits.head.onnx", "digits.onnx"]
    text = call("inspect", path).stdout
    assert "head in digits.head.onnx" in text
    assert "heatmap, heatmap.eigencam, heatmap.layercam, activations" in text
    assert "verify  pass: artifact" in call("inspect", tmp_path / "digits.head.onnx").stdout
    explainer = Explainer(path)
    baked = {"layercam": "heatmap.layercam", "eigencam": "heatmap.eigencam"}
    assert explainer.spec.layers[0].methods == baked
    assert explainer.explain(DIGITS, ["7"], method="ablationcam").status == ["ok"]


def test_an_onnx_file_is_explained_with_the_words_of_the_api(tmp_path: Path) -> None:
    plain, path = write_two_outputs(tmp_path / "plain.onnx"), tmp_path / "m.onnx"
    assert call("layers", plain).stdout.split("\n\n")[1].startswith("* layer ")
    listed = call("layers", plain, "--output", "second").stdout
    assert listed.split("\n\n")[1].startswith("* other ")
    succeed(
        "export", plain, "--to", path, "--output", "second", "--preprocess", "imagenet",
        "--shape", "3,8,8", "--name", "mine",
    )  # fmt: skip
    spec = Explainer(path).spec
    assert (spec.score.output, spec.source["name"]) == ("second", "mine")
    assert (spec.preprocess.size, spec.preprocess.resize) == ([8, 8], [9])
    assert spec.preprocess.mean == [0.485, 0.456, 0.406]


def test_the_size_of_the_images_is_that_of_the_file(tmp_path: Path) -> None:
    plain, path = write_two_outputs(tmp_path / "plain.onnx"), tmp_path / "m.onnx"
    succeed("export", plain, "--to", path, "--mean", "0.5", "--std", "0.5")
    assert Explainer(path).spec.preprocess.size == [8, 8]


def test_an_export_says_what_the_artifact_will_miss(tmp_path: Path) -> None:
    plain, names = write_two_outputs(tmp_path / "plain.onnx"), tmp_path / "names.txt"
    names.write_text("red\ngreen\nblue")
    given = ["export", plain, "--to", tmp_path / "m.onnx", "--verify", "off"]
    transform, labels = "note: no preprocessing is stored", "note: no class names are stored"
    for options, missing in (
        ([], {transform, labels}),
        (["--preprocess", "unit"], {labels}),
        (["--labels", names], {transform}),
        (["--score", "channel", "--layer", "layer", "--preprocess", "unit"], set[str]()),
    ):
        said = succeed(*given, *options).stdout
        assert {note for note in (transform, labels) if note in said} == missing


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--opset", "20"], "keeps its opset, axes and names"),
        (["--no-dynamic-batch"], "keeps its opset, axes and names"),
        (["--dynamic-size"], "keeps its opset, axes and names"),
        (["--input-name", "image"], "keeps its opset, axes and names"),
        (["--output-name", "a", "--output-name", "b"], "keeps its opset, axes and names"),
        (["--shape", "1x?x1x3x8x8"], "give an extent for each axis, with or without the batch"),
        (["--shape", "image=3,8,8"], "--shape names the input 'image'; the model has "),
        (["--weights", "w.pt"], "contains its own weights"),
    ],
)
def test_what_an_onnx_file_cannot_follow_is_refused(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    plain = write_two_outputs(tmp_path / "plain.onnx")
    assert message in fail("export", plain, "--to", tmp_path / "m.onnx", *arguments)
    assert not (tmp_path / "m.onnx").exists()
    if "--shape" in arguments:
        assert message in fail("layers", plain, *arguments[-2:])


def test_verify_needs_no_option_of_the_export_again(tmp_path: Path) -> None:
    path, source = tmp_path / "m.onnx", ["graftcam.demo.model:build", "--weights", WEIGHTS]
    made = succeed(
        "export", *source, "--shape", "3,96,96", "--to", path, "--verify", "off", "--opset", "19",
        "--no-dynamic-batch", "--input-name", "image", "--extra", "layercam", "--activation",
        "sigmoid",
    )  # fmt: skip
    assert "not verified" in made.stdout
    result = succeed("verify", path, "--against", *source, "--json", "-")
    checks = {one["check"]: one["status"] for one in json.loads(result.stdout)["checks"]}
    assert (checks["source"], checks["determinism"]) == ("pass", "pass")


def test_layers_lists_the_automatic_choice_first_with_its_reason() -> None:
    result = succeed("layers", "graftcam.demo.model:build", "--shape", "3,96,96")
    assert result.stdout.split("\n\n")[1].startswith("* layer3 ")
    assert "automatic choice: the last usable layer" in result.stdout
    entries = json.loads(
        call("layers", "graftcam.demo.model:build", "--shape", "3,96,96", "--json").stdout
    )
    assert entries[0]["shape"] == [1, 96, 12, 12]
    assert any(entry["reason"] == "no spatial extent left" for entry in entries)


def test_explain_writes_an_overlay_a_class_and_says_where(artifact: Path, tmp_path: Path) -> None:
    result = succeed("explain", artifact, DIGITS, "-o", tmp_path / "out", "--class", "zero",
                     "--class", "8")  # fmt: skip
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["digits1-eight.png", "digits1-zero.png"]
    assert "zero  score" in result.stdout
    overlay = read_rgb(tmp_path / "out" / "digits1-zero.png")
    assert overlay.shape == (96, 96, 3)
    assert np.abs(overlay.astype(int) - read_rgb(DIGITS)).max() > 30


def test_explain_prints_json_for_machines(artifact: Path, tmp_path: Path) -> None:
    result = call("explain", artifact, DIGITS, "-o", tmp_path, "--top", "3", "--json")
    rows = json.loads(result.stdout)
    assert {entry["label"] for entry in rows[0]["classes"]} == {"zero", "eight", "seven"}
    assert all(Path(file).is_file() for file in rows[0]["files"])


def test_inspect_prints_what_the_artifact_contains(artifact: Path) -> None:
    text = call("inspect", artifact).stdout
    assert "layer   layer3: channels_first, grid [12, 12]" in text
    assert "labels  zero, one, two, three, ..." in text
    assert "verify  pass: autograd-float64, 4 inputs, largest relative error" in text
    assert json.loads(call("inspect", artifact, "--json").stdout)["version"] == 1


REFUSALS = {
    "unknown method": (
        ["export", "graftcam.demo.model:build", "--shape", "3,96,96", "-o", "x.onnx", "--extra",
         "layer-cam"], "did you mean 'layercam'"),
    "unknown kind of source": (["export", "resnet50", "-o", "x.onnx"], "unknown source"),
    "unknown torchvision model": (
        ["export", "torchvision:resnet5", "-o", "x.onnx"], "did you mean resnet50"),
    "unknown timm model": (["export", "timm:resnet5", "-o", "x.onnx"], "timm has no model"),
    "factory that does not exist": (
        ["export", "graftcam.demo.model:make", "-o", "x.onnx"], "cannot import"),
    "no shape": (["export", "graftcam.demo.model:build", "-o", "x.onnx"], "give --shape"),
    "an extent below 1": (
        ["export", "graftcam.demo.model:build", "--shape", "3,-9,9", "-o", "x.onnx"], "3,-9,9"),
    "weights alone": (["export", "a.pt", "-o", "x.onnx"], "torchvision:resnet18 --weights a.pt"),
    "no folder": (["shrink", "ARTIFACT", "--images", "nope", "-o", "x.onnx"], "no folder nope"),
    "missing weights": (
        ["export", "torchvision:alexnet", "--weights", "no.pt", "-o", "x.onnx"], "no.pt"),
    "missing source file": (["export", "no.onnx", "-o", "x.onnx"], "no file no.onnx"),
    "missing artifact": (["inspect", "no.onnx"], "no.onnx"),
    "unknown label": (["explain", "ARTIFACT", DIGITS, "-o", "o", "--class", "ate"], "ate"),
    "class id out of range": (["explain", "ARTIFACT", DIGITS, "-o", "o", "--class", "10"], "10"),
    "missing image": (["explain", "ARTIFACT", "no.png", "-o", "o"], "no.png"),
    "unknown layer": (["explain", "ARTIFACT", DIGITS, "-o", "o", "--layer", "layer9"], "layer9"),
    "unknown colour map": (["explain", "ARTIFACT", DIGITS, "-o", "o", "--colormap", "jett"], "jet"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), REFUSALS.values(), ids=REFUSALS)
def test_refusals_are_one_line_with_exit_code_1_and_leave_nothing(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[object],
    message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert message in refuse(*[artifact if a == "ARTIFACT" else a for a in arguments])
    assert list(tmp_path.rglob("*.*")) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "torchvision:alexnet"],
        ["explain", "m.onnx"],
        ["export", "timm:x", "-o", "x", "--opset", "17"],
        ["export", "timm:x", "-o", "x", "--profile", "gpu"],
        ["export", "torchvision:alexnet", "-o", "x", "--mean", "0.5"],
        ["export", "torchvision:alexnet", "-o", "x", "--resize", "9"],
        ["export", "torchvision:alexnet", "-o", "x", "--preprocess", "imagenet", "--resize", "0"],
        ["export", "torchvision:alexnet", "-o", "x", "--verify", "some"],
        ["explain", "m.onnx", "a.png", "-o", "o", "--alpha", "2"],
        ["verify"],
        ["verify", "m.onnx", "--shape", "3,8,8"],
        ["verify", "a", "b"],
        ["bench"],
        ["bench", "m.onnx", "--class", "1", "-k", "2"],
        ["bench", "m.onnx", "--image", "a.png", "--shape", "8,8"],
        ["bench", "m.onnx", "--batch", "0"],
        ["bench", "m.onnx", "--rounds", "0"],
        ["bench", "m.onnx", "--shape", "a,b"],
        ["shrink", "m.onnx", "--images", "photos", "-o", "y.onnx", "-o", "x.onnx"],
        ["explain", "m.onnx", "a.png", "-o", "one", "-o", "two"],
        ["diff", "a.onnx", "b.onnx", "a.png", "-o", "one", "--to", "two"],
        ["nothing"],
    ],
)
def test_usage_errors_exit_with_2(arguments: list[str]) -> None:
    fail(*arguments, code=2)


def test_a_file_without_our_metadata_says_what_to_do(tmp_path: Path) -> None:
    plain = write_two_outputs(tmp_path / "plain.onnx")
    assert "graftcam export" in fail("inspect", plain)
