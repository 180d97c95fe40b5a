"""Weights beside the graph: in files that come in, and in artifacts beyond 2 GB."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch

from graftcam.exporter import CaptureError, WriteError, export
from graftcam.exporter.graph import external_data
from graftcam.runtime import Explainer
from support.exports import to_onnx
from support.nets import Tiny, seeded
from support.torchscript import scripted

EXAMPLE = (torch.zeros(2, 3, 8, 8),)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in one file."""
    return to_onnx(seeded(Tiny()), tmp_path_factory.mktemp("plain") / "plain.onnx")


def beside(plain: Path, folder: Path) -> Path:
    """The same model with its weights in ``model.bin``."""
    folder.mkdir(exist_ok=True)
    proto, path = onnx.load(plain), folder / "model.onnx"
    onnx.save(proto, path, save_as_external_data=True, location="model.bin", size_threshold=80)
    return path


@pytest.mark.parametrize("opset", [17, 18])
def test_an_artifact_holds_the_weights_that_lay_beside_its_source(
    plain: Path, tmp_path: Path, opset: int
) -> None:
    if opset < 18:
        plain = scripted(seeded(Tiny()), tmp_path / "plain.onnx", opset)
    source = beside(plain, tmp_path / "source")
    (tmp_path / "out").mkdir()
    report = export(source, tmp_path / "out" / "m.onnx")
    shutil.rmtree(source.parent)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["m.onnx"]
    x = np.zeros((1, 3, 8, 8), np.float32)
    assert Explainer(report.path, "cpu").run(x)["heatmap"].shape == (1, 1, 4, 4)


@pytest.mark.parametrize(("size", "fault"), [(None, "is missing"), (100, "is truncated")])
def test_weights_that_are_not_all_there_are_one_clear_line(
    plain: Path, tmp_path: Path, size: int | None, fault: str
) -> None:
    source = beside(plain, tmp_path)
    data = tmp_path / "model.bin"
    data.unlink() if size is None else data.write_bytes(data.read_bytes()[:size])
    message = rf"model\.onnx stores its weights in 'model\.bin', which {fault}; put the whole file"
    with pytest.raises(CaptureError, match=message) as caught:
        export(source, tmp_path / "m.onnx")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize("kind", ["module", "file", "file with its weights beside it"])
def test_large_weights_go_beside_the_artifact(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(external_data, "EMBED_LIMIT", 1000)
    monkeypatch.setattr(external_data, "SMALL", 100)
    path = tmp_path / "out" / "m.onnx"
    path.parent.mkdir()
    source = {"module": seeded(Tiny()), "file": plain}.get(kind)
    report = export(
        beside(plain, tmp_path / "source") if source is None else source, path,
        EXAMPLE if kind == "module" else None,
    )  # fmt: skip
    assert sorted(part.name for part in path.parent.iterdir()) == ["m.onnx", "m.onnx.data"]
    assert report.bytes == sum(part.stat().st_size for part in path.parent.iterdir())
    shutil.rmtree(tmp_path / "source", ignore_errors=True)
    moved = path.parent.rename(tmp_path / "moved")
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    found = Explainer(moved / "m.onnx", "cpu").run(x)
    expected = seeded(Tiny())(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(next(iter(found.values())), expected, rtol=1e-4, atol=1e-5)


def test_a_failed_export_leaves_both_files_as_they_were(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external_data, "EMBED_LIMIT", 1000)
    for name in ("m.onnx", "m.onnx.data"):
        (tmp_path / name).write_text(name)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ir.external_data, "unload_from_model", full)
    with pytest.raises(WriteError, match=r"cannot write m\.onnx: No space left on device"):
        export(plain, tmp_path / "m.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "m.onnx.data"]
    assert (tmp_path / "m.onnx.data").read_text() == "m.onnx.data"


@pytest.mark.slow
def test_a_model_of_more_than_two_gigabytes(tmp_path: Path) -> None:
    """The large weights stand before the layer; verification widens only what follows it."""
    hidden = 1_500_000
    text = """
        <ir_version: 9, opset_import: ["": 18]>
        g (float[N, 3, 8, 8] x) => (float[N, 4] y) {
            rows = Flatten(x)
            wide = MatMul(rows, w1)
            narrow = MatMul(wide, w2)
            laid = Reshape(narrow, shape)
            sum = Add(laid, x)
            conv = Conv<kernel_shape=[3, 3]>(sum, w3)
            relu = Relu(conv)
            mean = GlobalAveragePool(relu)
            y = Flatten(mean)
        }"""
    model = ir.from_onnx_text(text)
    kernel = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
    arrays = {
        "w1": np.zeros((192, hidden), np.float32), "w2": np.zeros((hidden, 192), np.float32),
        "w3": kernel, "shape": np.array([0, 3, 8, 8]),
    }  # fmt: skip
    for node in model.graph:
        for index, value in enumerate(node.inputs):
            if value is not None and value.name in arrays:
                tensor = ir.tensor(arrays[value.name], name=value.name)
                made = ir.Value(name=value.name, const_value=tensor)
                node.replace_input_with(index, made)
                model.graph.register_initializer(made)
    assert sum(array.nbytes for array in arrays.values()) > 2**31
    source, path = tmp_path / "large.onnx", tmp_path / "m.onnx"
    ir.save(model, source, external_data="large.data")
    try:
        export(source, path)
        assert path.stat().st_size < 2**20
        assert (tmp_path / "m.onnx.data").stat().st_size > 2**31
        x = np.ones((1, 3, 8, 8), np.float32)
        assert Explainer(path, "cpu").run(x)["heatmap"].shape == (1, 1, 6, 6)
    finally:
        for part in tmp_path.iterdir():
            part.unlink()
