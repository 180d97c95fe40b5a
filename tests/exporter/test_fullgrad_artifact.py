"""An artifact with FullGrad: its file, its record, the runtime and the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from graftcam.exporter import export
from graftcam.exporter.artifact.strip import write_plain
from graftcam.runtime import Explainer
from graftcam.runtime.errors import InputError, SpecError
from graftcam.runtime.spec import METADATA_KEY, Preprocess, Spec
from support.cli import refuse, succeed
from support.fullgrad import SPACES, TOLERANCE, Net, noise, psi, terms
from support.nets import seeded
from support.sessions import open_session, run

Artifact = tuple[nn.Module, Path]

TRANSFORM = Preprocess(
    "x", SPACES[2], SPACES[2], "exact", "bilinear", 1 / 255, [0.4] * 3, [0.2] * 3
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    model, path = seeded(Net(), seed=2), tmp_path_factory.mktemp("plain") / "m.onnx"
    report = export(
        model, path, (torch.zeros(2, 3, *SPACES[2]),), layers="down", extras="fullgrad",
        preprocess=TRANSFORM,
    )  # fmt: skip
    assert report.verification.errors["heatmap.fullgrad"] < 1e-5
    assert "input_gradients" in report.verification.errors  # by the same walk
    return model, path


def test_a_file_gives_the_same_map(tmp_path: Path, plain: Artifact) -> None:
    source, path = tmp_path / "plain.onnx", tmp_path / "m.onnx"
    write_plain(plain[1], source)
    metadata = open_session(plain[1]).get_modelmeta().custom_metadata_map[METADATA_KEY]
    layer = Spec.from_json(metadata).layers[0].value
    assert export(source, path, layers=layer, extras=["fullgrad"]).verification.verdict == "pass"
    feeds = {"x": noise(2), "class_index": np.array([[1]])}
    np.testing.assert_allclose(
        run(path, feeds)["heatmap.fullgrad"], run(plain[1], feeds)["heatmap.fullgrad"], **TOLERANCE
    )


def test_the_runtime_gives_the_map_and_what_is_missing_of_the_sum(plain: Artifact) -> None:
    explainer = Explainer(plain[1])
    photo = np.random.default_rng(0).integers(0, 256, (*SPACES[2], 3), np.uint8)
    found = explainer.explain(photo, [2, 0], method="fullgrad")
    assert found.maps.shape == (2, *SPACES[2])
    assert (found.maps >= 0).all()
    assert not found.signed
    assert (found.measures["completeness_error"] < 1e-4).all()
    x = ((photo / 255 - 0.4) / 0.2).transpose(2, 0, 1)[None].astype(np.float32)
    parts, _ = terms(plain[0], x, 2)
    expected = sum(psi(part, SPACES[2]) for part in parts)[0]
    np.testing.assert_allclose(found.maps[0], expected, rtol=1e-3, atol=1e-3)


def test_an_artifact_without_it_says_how_to_get_it(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    export(
        seeded(Net()), path, (torch.zeros(2, 3, *SPACES[2]),), layers="down", verify="off",
        preprocess=TRANSFORM,
    )  # fmt: skip
    photo = np.zeros((*SPACES[2], 3), np.uint8)
    with pytest.raises(InputError, match=r"has no fullgrad, .*; export it with --extra fullgrad"):
        Explainer(path).explain(photo, method="fullgrad")


def test_the_record_needs_both_names(plain: Artifact) -> None:
    text = open_session(plain[1]).get_modelmeta().custom_metadata_map[METADATA_KEY]
    record = json.loads(text)
    del record["fullgrad_sum"]
    with pytest.raises(SpecError, match="fullgrad_sum"):
        Spec.from_json(json.dumps(record))


def test_the_command_line(tmp_path: Path, plain: Artifact) -> None:
    shown = succeed("inspect", plain[1]).stdout
    assert "of the input: input_gradients, heatmap.fullgrad, fullgrad_sum" in shown
    source, path = tmp_path / "plain.onnx", tmp_path / "m.onnx"
    write_plain(plain[1], source)
    succeed("export", source, "-o", path, "--extra", "fullgrad", "--verify", "off")
    np.save(tmp_path / "x.npy", noise(2)[0])
    succeed("explain", path, tmp_path / "x.npy", "-o", tmp_path / "out", "--method", "fullgrad")
    message = refuse("export", source, "-o", path, "--extra", "fullgrads")
    assert "did you mean 'fullgrad'" in message
