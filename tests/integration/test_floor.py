"""``graftcam bench --profile``: work counted from a real run equals the work by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graftcam.exporter import export
from graftcam.runtime.errors import SessionError
from graftcam.runtime.tools.bench import variants
from graftcam.runtime.tools.bench.floor.floor import Floor, find_floor
from graftcam.runtime.tools.bench.inputs import make_feeds
from graftcam.runtime.tools.bench.measure import open_artifact
from support.artifacts import LABELS
from support.cli import succeed
from support.onnx_bytes import onnx_model
from support.small_detector import export_detector

# Channels are multiples of 16: the blocked layout pads none.
MODEL = """<ir_version: 8, opset_import: ["" : 18]>
g (float[N, 16, 16, 16] image) => (float[N, 4] logits) {
    a = Conv <pads = [1, 1, 1, 1]> (image, below)
    layer = Relu(a)
    b = Conv <strides = [2, 2], kernel_shape = [2, 2]> (layer, strided)
    c = Relu(b)
    d = Conv <pads = [1, 1, 1, 1]> (c, plain)
    e = Relu(d)
    pooled = GlobalAveragePool(e)
    flat = Flatten(pooled)
    hidden = Gemm <transB = 1> (flat, first)
    active = Relu(hidden)
    logits = Gemm <transB = 1> (active, weights)
}"""
BELOW = 16 * 256 * 16 * 9
STRIDED, PLAIN = 32 * 64 * 16 * 4, 32 * 64 * 32 * 9
HIDDEN, LOGITS = 64 * 32, 4 * 64


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    draw = np.random.default_rng(0)
    shapes = {"below": (16, 16, 3, 3), "strided": (32, 16, 2, 2), "plain": (32, 32, 3, 3),
              "first": (64, 32), "weights": (4, 64)}  # fmt: skip
    weights = {name: draw.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    folder = tmp_path_factory.mktemp("floor")
    (folder / "plain.onnx").write_bytes(onnx_model(MODEL, weights))
    export(folder / "plain.onnx", folder / "m.onnx", layers=["layer"], labels=LABELS, verify="off")
    return folder / "m.onnx"


def floor_of(path: Path, folder: Path, images: int, classes: int) -> Floor:
    session = open_artifact(path, "cpu", 1)
    index = list(range(max(classes, 1)))
    found = variants.explained(session, make_feeds(session, images), {None: index}, 1)
    chosen = next(one for one in found if one.classes == classes)
    profile, graph = chosen.profile_and_graph(folder)
    assert graph is not None
    return find_floor(profile, session.spec, graph)


@pytest.mark.parametrize(("images", "classes"), [(1, 1), (2, 3), (1, 0)])
def test_counts_are_those_by_hand(
    artifact: Path, tmp_path: Path, images: int, classes: int
) -> None:
    found = floor_of(artifact, tmp_path, images, classes)
    macs = {(row.part, row.operator): row.macs for row in found.operators if row.macs}
    above, rest = found.part("above"), found.part("rest")
    assert above
    assert rest
    assert above.macs == images * (STRIDED + PLAIN + HIDDEN + LOGITS)
    assert rest.macs == images * BELOW
    maps = images * classes
    expected = {
        ("added", "Conv"): maps * PLAIN,
        # Its weight is packed, so that ONNX Runtime's profile lacks it.
        ("added", "ConvTranspose"): maps * STRIDED,
        ("added", "Gemm"): maps * HIDDEN,
    }
    assert {name: macs.get(name, 0) for name in expected} == expected
    assert found.notes == []


def test_a_detectors_adjoint_is_counted_within_its_if(tmp_path: Path) -> None:
    path = export_detector(tmp_path / "squares.onnx")
    one, none = (floor_of(path, tmp_path, 1, count) for count in (1, 0))
    counts = [
        {row.operator: row.macs for row in found.operators if row.part == "added"}
        for found in (one, none)
    ]
    # One box of the finer level: 2 classes, 4 channels in a block of 16, 8 x 8 places.
    assert counts[0]["Conv"] == 16 * 64 * 2 * 9
    assert "Conv" not in counts[1]
    assert one.notes == none.notes == []
    above = one.part("above")
    assert above
    assert above.macs > 0


def test_the_command_prints_the_floor_as_text_and_as_data(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variants, "peak_memory", lambda *_: 12_000_000)
    text = succeed("bench", artifact, "--profile", "--rounds", 1).stdout
    assert max(map(len, text.splitlines())) <= 80
    assert "The floor: multiplications (MAC) and bytes moved in one run with K = 1:" in text
    assert "forward above the layer" in text
    assert "times the multiplications of the forward above the layer" in " ".join(text.split())
    data = json.loads(succeed("bench", artifact, "--profile", "--rounds", 1, "--json").stdout)
    found = data["floor"]
    # The first linear layer is the adjoint's only product beside the convolutions and the map's.
    assert found["ratio"] == pytest.approx(1, abs=0.02)
    assert {row["part"] for row in found["parts"]} == {"above", "rest", "added"}
    gap = sum(found["gap_ms"].values())
    assert gap == pytest.approx(found["ms"] - found["at_peak_ms"])
    assert json.loads(succeed("bench", artifact, "--rounds", 1, "--json").stdout)["floor"] is None


def test_a_provider_whose_graph_cannot_be_saved_still_has_a_profile(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise SessionError("compiled nodes")

    monkeypatch.setattr(variants, "save_graph", refuse)
    session = open_artifact(artifact, "cpu", 1)
    chosen = variants.explained(session, make_feeds(session), {None: [0]}, 1)[-1]
    profile, graph = chosen.profile_and_graph(tmp_path)
    assert graph is None
    found = find_floor(profile, session.spec, graph)
    assert "was not saved" in found.notes[0]
    # Without the graph the packed weight of ConvTranspose is unknown.
    assert "ConvTranspose" in found.notes[1]
