"""What files of strangers do: mix their batch, run for one image alone, count in integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from graftcam.exporter import VerificationError, export
from graftcam.runtime import Explainer
from support.onnx_text import parsed

RNG = np.random.default_rng(5)
CONSTANTS = {
    "kernel": RNG.standard_normal((4, 3, 3, 3)).astype(np.float32),
    "head": RNG.standard_normal((4, 2)).astype(np.float32),
    "table": RNG.standard_normal((70, 6)).astype(np.float32),
    "narrow": RNG.standard_normal((5, 6, 3)).astype(np.float32),
    "last": RNG.standard_normal((5, 2)).astype(np.float32),
    "zero": np.int64([0]), "rows": np.int64([3, -1]), "space": np.int64([2]),
}  # fmt: skip
BODY = """layer = Conv <pads = [1, 1, 1, 1]> (image, kernel)
        rectified = Relu(layer)
        mean = GlobalAveragePool(rectified)
        flat = Flatten(mean)
        logits = Gemm({flat}, head)"""
MODEL = """<ir_version: 8, opset_import: ["" : 18]>
    net ({inputs}) => ({outputs})
    {{
        {body}
    }}"""


def write(path: Path, inputs: str, outputs: str, body: str) -> Path:
    text = MODEL.format(inputs=inputs, outputs=outputs, body=body)
    used = {name: value for name, value in CONSTANTS.items() if name in body}
    onnx.save(parsed(text, used), path)
    return path


def test_images_that_depend_on_the_others_of_their_batch_are_refused(tmp_path: Path) -> None:
    """As a network does whose LSTM runs over the batch, or that subtracts the batch's mean."""
    body = BODY.format(flat="apart") .replace(
        "logits =", "all = ReduceMean(flat, zero)\n apart = Sub(flat, all)\n logits ="
    )  # fmt: skip
    path = write(tmp_path / "m.onnx", "float[N, 3, 8, 8] image", "float[N, 2] logits", body)
    with pytest.raises(VerificationError, match="images of a batch depend on each other"):
        export(path, tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()
    alone = export(path, tmp_path / "x.onnx", shapes=(1, 3, 8, 8))
    assert alone.verification.verdict == "pass"


def test_a_file_that_runs_for_one_image_only_is_one_of_a_fixed_batch(tmp_path: Path) -> None:
    """Its shapes are known all the same, and what it declares of its output is not believed."""
    body = BODY.format(flat="cut").replace(
        "logits =", "one = Constant <value_ints = [1, 4]> ()\n cut = Reshape(flat, one)\n logits ="
    )
    path = write(tmp_path / "m.onnx", "float[N, 3, 8, 8] image", "float[N, 2] logits", body)
    report = export(path, tmp_path / "x.onnx")
    assert report.verification.verdict == "pass"
    results = Explainer(tmp_path / "x.onnx").run(np.ones((1, 3, 8, 8), np.float32), [[0, 1]])
    assert results["scores"].shape == (1, 2)


def test_a_network_of_bytes_is_verified_on_ids_and_its_pool_over_a_sequence(tmp_path: Path) -> None:
    """Made-up ids must differ: the maxima of alike ones tie. The pool is of one axis."""
    body = """vectors = Gather(table, bytes)
        turned = Transpose <perm = [0, 2, 1]> (vectors)
        layer = Conv <pads = [1, 1]> (turned, narrow)
        rectified = Relu(layer)
        largest = GlobalMaxPool(rectified)
        flat = Flatten(largest)
        logits = Gemm(flat, last)"""
    path = write(tmp_path / "m.onnx", "int32[N, 12] bytes", "float[N, 2] logits", body)
    report = export(path, tmp_path / "x.onnx")
    layer = report.spec.layers[0]
    assert (layer.layout, layer.grid) == ("channels_first", [12])
    assert report.verification.verdict == "pass"
