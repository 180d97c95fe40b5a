"""``graftcam bench``: the measurements, their inputs, the plain model, and refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest

from graftcam.exporter import export
from graftcam.runtime import GraftcamError
from graftcam.runtime.tools.bench import memory, variants
from graftcam.runtime.tools.bench.inputs import make_feeds
from graftcam.runtime.tools.bench.measure import open_artifact
from support.artifacts import LABELS, WEIGHTS, preprocess
from support.cli import call, refuse, succeed
from support.exports import export_segmenter
from support.images import noise
from support.interpreter import FORBIDDEN, python
from support.onnx_bytes import onnx_model
from support.three_heads import LABELS as HEAD_LABELS
from support.three_heads import export_heads

MEGABYTE = 10**6


def write_model(path: Path, batch: int | str = "N", size: int | str = 32, outputs: int = 4) -> Path:
    """Write a plain classifier of images: a convolution, the mean over the places, a Gemm."""
    width = size if isinstance(size, int) else "W"
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
    g (float[{batch}, 3, {size}, {width}] image)
      => (float[{batch}, {outputs}] logits) {{
        sums = Conv <strides = [8, 8]> (image, kernel)
        features = Relu(sums)
        pooled = GlobalAveragePool(features)
        flat = Flatten(pooled)
        logits = Gemm <transB = 1> (flat, weights)
    }}"""
    tensors = {"kernel": noise(3), "weights": np.asarray(WEIGHTS[:outputs], "f")}
    path.write_bytes(onnx_model(text, tensors))
    return path


def write_pair(
    folder: Path, transform: Any = None, batch: int | str = "N", size: int | str = 32
) -> tuple[Path, Path]:
    """The plain file and its artifact."""
    plain, artifact = write_model(folder / "plain.onnx", batch, size), folder / "m.onnx"
    export(plain, artifact, labels=LABELS, preprocess=transform, verify="off")
    return plain, artifact


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_pair(tmp_path_factory.mktemp("pair"), preprocess())


@pytest.fixture
def fake_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the processes where memory is not the subject."""
    monkeypatch.setattr(variants, "peak_memory", lambda *_: 12 * MEGABYTE)


def cost_of(*arguments: object) -> dict[str, Any]:
    return json.loads(succeed("bench", *arguments, "--rounds", 2, "--json").stdout)


@pytest.mark.usefixtures("fake_memory")
def test_a_table_for_a_person_at_80_columns(pair: tuple[Path, Path]) -> None:
    result = succeed("bench", pair[1], "-k", 3, "--rounds", 2)
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "m.onnx, layer features, image [1, 3, 32, 32]"
    assert [line[:5] for line in lines[4:8]] == ["plain", "K = 0", "K = 1", "K = 3"]
    assert lines[9] == "plain: the model inside the artifact"
    start = next(i for i, line in enumerate(lines) if line.startswith("added node"))
    nodes = lines[start + 1 : start + 6]
    assert all(line.startswith("grad/") for line in nodes)
    assert [step.partition(" ... ")[0] for step in result.stderr.splitlines()] == [
        "extracting the plain model", "warming up plain, K = 0, K = 1, K = 3",
        "timing 2 rounds, about 0 s", "profile", "peak memory",
    ]  # fmt: skip


def test_the_same_for_machines(pair: tuple[Path, Path]) -> None:
    cost = cost_of(pair[1], "--threads", 1, "--provider", "cpu")
    assert [row["name"] for row in cost["rows"]] == ["plain", "K = 0", "K = 1"]
    assert [row["classes"] for row in cost["rows"]] == [None, 0, 1]
    for row in cost["rows"]:
        assert row["ms"] == sorted(row["ms"])
        low, middle, high = row["peak_bytes"]
        assert 0 < low <= middle <= high
    assert cost["rows"][0]["of_base"] == [1, 1, 1]
    assert cost["rows"][0]["peak_of_base"] == 1
    assert (cost["threads"], cost["provider"]) == (1, "CPUExecutionProvider")
    assert (cost["inputs"], cost["rounds"]) == ({"image": [1, 3, 32, 32]}, 2)
    added = cost["profile"]["added_nodes"]
    assert all(node["name"].startswith("grad/") for node in added)
    assert cost["profile"]["added"]["nodes"] == len(added) > 5
    assert sum(row["nodes"] for row in cost["profile"]["added_operators"]) == len(added)
    assert cost["plain_profile"]["added"] == {"nodes": 0, "ms": 0}
    assert cost["plain_profile"]["model"]["nodes"] == cost["profile"]["model"]["nodes"]


@pytest.mark.usefixtures("fake_memory")
def test_batch_classes_and_a_plain_file_of_the_callers(pair: tuple[Path, Path]) -> None:
    plain, artifact = pair
    cost = cost_of(artifact, "--against", plain, "--batch", 3, "--class", "Green", "--class", 2)
    assert cost["plain"] == str(plain)
    assert cost["inputs"] == {"image": [3, 3, 32, 32]}
    assert [row["name"] for row in cost["rows"]] == ["plain", "K = 0", "K = 1", "K = 2"]


@pytest.mark.usefixtures("fake_memory")
def test_a_plain_file_may_call_its_input_otherwise(pair: tuple[Path, Path], tmp_path: Path) -> None:
    model = onnx.load(pair[0])
    model.graph.input[0].name = model.graph.node[0].input[0] = "pixels"
    onnx.save(model, tmp_path / "other.onnx")
    assert len(cost_of(pair[1], "--against", tmp_path / "other.onnx")["rows"]) == 3


@pytest.mark.usefixtures("fake_memory")
def test_open_sizes_are_the_requested_ones_or_those_of_the_preprocessing(tmp_path: Path) -> None:
    _, artifact = write_pair(tmp_path, preprocess(), size="H")
    assert cost_of(artifact)["inputs"] == {"image": [1, 3, 32, 32]}
    assert cost_of(artifact, "--shape", "16,48")["inputs"] == {"image": [1, 3, 16, 48]}


@pytest.mark.usefixtures("fake_memory")
@pytest.mark.parametrize("profile", ["default", "web"])
def test_segmentation_is_measured_over_all_positions(tmp_path: Path, profile: Any) -> None:
    cost = cost_of(export_segmenter(tmp_path / "m.onnx", profile=profile))
    assert cost["inputs"] == {"image": [1, 3, 32, 32]}


def test_a_fixed_batch_is_filled(tmp_path: Path) -> None:
    artifact = open_artifact(write_pair(tmp_path, batch=4)[1], "cpu", None)
    assert make_feeds(artifact)["image"].shape == (4, 3, 32, 32)
    assert make_feeds(artifact, 4)["image"].shape == (4, 3, 32, 32)


@pytest.mark.usefixtures("fake_memory")
def test_an_image_is_fed_as_often_as_the_batch_is_large(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    image = tmp_path / "red.png"
    cv2.imwrite(str(image), np.full((40, 40, 3), (0, 0, 255), np.uint8))
    pixels = make_feeds(open_artifact(pair[1], "cpu", None), 2, image=image)["image"]
    np.testing.assert_array_equal(pixels.mean((2, 3)), [[1, 0, 0], [1, 0, 0]])
    assert cost_of(pair[1], "--image", image)["inputs"] == {"image": [1, 3, 32, 32]}


def test_the_runtime_alone_measures_all_but_the_plain_model(pair: tuple[Path, Path]) -> None:
    code = f"""
import sys
sys.modules.update(dict.fromkeys({FORBIDDEN}))
from graftcam.cli import main
main(["bench", sys.argv[1], "--rounds", "2"])
"""
    text = python(code, str(pair[1]))
    assert "plain" not in text.partition("\n\n")[2].partition("note:")[0]
    assert "K = 1" in text
    assert "note: the plain model was not measured; name it with --against PLAIN.onnx" in text


def test_memory_is_that_of_the_model_not_of_the_process_that_asks(pair: tuple[Path, Path]) -> None:
    ballast = np.ones(300 * MEGABYTE, np.uint8)
    artifact = open_artifact(pair[1], "cpu", None)
    peak = variants.explained(artifact, make_feeds(artifact), {None: [-1]}, 1)[-1].peak_memory()
    # Linux's getrusage would count the ballast before and after, and see no difference.
    assert MEGABYTE < peak < ballast.nbytes / 3


def test_a_system_that_does_not_report_memory_is_noted(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "peak_of_process", lambda: None)
    text = call("bench", pair[1], "--rounds", 2).stdout
    assert "note: this system does not report the peak memory of a process" in text
    assert text.splitlines()[4].split()[-2:] == ["-", "-"]


def test_a_process_that_fails_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(GraftcamError, match=r"gone\.onnx: measuring its memory failed: ") as caught:
        memory.peak_memory(tmp_path / "gone.onnx", {}, [], "cpu", 1)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("heads") / "m.onnx"
    export_heads(path, labels=HEAD_LABELS)
    return path


@pytest.mark.usefixtures("fake_memory")
def test_each_of_several_outputs_is_measured(heads: Path) -> None:
    names = [f"K = {count} of {name}" for name, most in (("gender", 2), ("age", 3), ("smile", 2))
             for count in (1, most)]  # fmt: skip
    rows = cost_of(heads, "-k", 3)["rows"]
    assert [row["name"] for row in rows] == ["plain", "K = 0", *names]
    assert [row["output"] for row in rows[2:4]] == ["gender", "gender"]
    rows = cost_of(heads, "--output", "age", "-k", 4)["rows"]
    assert [row["name"] for row in rows] == ["plain", "K = 0", "K = 1 of age", "K = 4 of age"]
    rows = cost_of(heads, "--class", "male")["rows"]
    assert [row["name"] for row in rows] == ["plain", "K = 0", "K = 1 of gender"]
    assert "output 'mask'" in refuse("bench", heads, "--output", "mask")


def test_a_variant_asks_for_its_own_output(heads: Path) -> None:
    artifact = open_artifact(heads, "cpu", None)
    feeds = make_feeds(artifact)
    found = variants.explained(artifact, feeds, {"gender": [-1], "age": [4]}, 1)
    spec, logits = artifact.spec, artifact.run(feeds, ["age"])["age"]
    results = found[-1]()
    np.testing.assert_array_equal(results[spec.classes or ""], [[4]])
    np.testing.assert_allclose(results[spec.scores], logits[:, 4:], rtol=1e-5)


OTHER_INPUT = "compare with the model that m.onnx was made from"
REFUSALS: dict[str, tuple[list[str], str]] = {
    "missing file": (["no.onnx"], "no.onnx: no such file"),
    "no artifact": (["plain.onnx"], "plain.onnx has no graftcam metadata; make one with"),
    "another batch than the fixed one": (
        ["fixed.onnx", "--batch", "2"], "fixed.onnx takes only batches of 4, not 2"),
    "more classes than there are": (["m.onnx", "-k", "5"], "the model has 4 classes"),
    "class out of range": (["m.onnx", "--class", "4"], "class 4 is out of range"),
    "unknown class": (["m.onnx", "--class", "gren"], "nearest: 'green'"),
    "size that is fixed": (["m.onnx", "--shape", "8,8"], "m.onnx leaves no size open"),
    "size that is missing": (["open.onnx"], "give 2 sizes for its open axes"),
    "one size of two": (["open.onnx", "--shape", "8"], "give 2 sizes for its open axes"),
    "image without preprocessing": (
        ["fixed.onnx", "--image", "a.png"], "fixed.onnx stores no preprocessing"),
    "missing image": (["m.onnx", "--image", "a.png"], "cannot read a.png"),
    "unknown provider": (["m.onnx", "--provider", "tpu"], "provider 'tpu' is not available"),
    "missing plain file": (["m.onnx", "--against", "no.onnx"], "no.onnx: no such file"),
    "plain file of another size": (["m.onnx", "--against", "small.onnx"], OTHER_INPUT),
    "plain file of other inputs": (["m.onnx", "--against", "sum.onnx"], OTHER_INPUT),
    "plain file of other outputs": (["m.onnx", "--against", "few.onnx"], OTHER_INPUT),
    "an artifact as plain file": (["m.onnx", "--against", "m.onnx"], OTHER_INPUT),
}  # fmt: skip


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of `REFUSALS`."""
    folder = tmp_path_factory.mktemp("workshop")
    write_pair(folder, batch=4)[1].rename(folder / "fixed.onnx")
    write_pair(folder, size="H")[1].rename(folder / "open.onnx")
    write_pair(folder, preprocess())
    write_model(folder / "small.onnx", size=16)
    write_model(folder / "few.onnx", outputs=3)
    two = """<ir_version: 8, opset_import: ["" : 18]>
    g (float[N] a, float[N] b) => (float[N] c) { c = Add(a, b) }"""
    (folder / "sum.onnx").write_bytes(onnx_model(two))
    return folder


@pytest.mark.parametrize(("arguments", "message"), REFUSALS.values(), ids=REFUSALS)
def test_refusals_are_one_line_with_exit_code_1(
    workshop: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(workshop)
    before = sorted(workshop.iterdir())
    assert message in refuse("bench", *arguments, "--rounds", 1)
    assert sorted(workshop.iterdir()) == before
