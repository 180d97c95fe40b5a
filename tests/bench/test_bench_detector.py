"""The bench's row of a detector runs what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime

from benchmarks.parts.detector import above, boxes_runs, read_spec
from benchmarks.plots import plot_detector
from support.small_detector import export_detector, write_model


def test_each_number_of_boxes_is_explained_and_the_part_above_is_the_models(tmp_path: Path) -> None:
    artifact = export_detector(tmp_path / "boxes.onnx")
    pixels = np.random.default_rng(0).random((1, 3, 64, 64), np.float32)
    runs = boxes_runs(artifact, pixels, 1)
    assert [*runs] == ["0", "1", "2", "4", "8", "16"]
    for name, run in runs.items():
        output, *of_boxes = run()
        assert output.shape == (1, 6, 80)
        # K = 0 is the model's output alone.
        expected = [] if name == "0" else [(1, int(name)), (1, int(name), 4), (1, int(name), 8, 8)]
        assert [value.shape for value in of_boxes] == expected
    whole = onnxruntime.InferenceSession(artifact)
    levels = whole.run(["activations.p0", "activations.p1"], {"images": pixels})
    part = onnxruntime.InferenceSession(above(artifact).SerializeToString())
    assert not {node.op_type for node in above(artifact).graph.node} & {"GatherND", "TopK"}
    names = [one.value for one in read_spec(artifact).layers]
    (output,) = part.run(None, dict(zip(names, levels, strict=True)))
    plain = onnxruntime.InferenceSession(write_model(tmp_path / "plain.onnx"))
    np.testing.assert_allclose(output, plain.run(None, {"images": pixels})[0], atol=1e-5)


def test_the_plot_shows_the_cost_of_each_number_of_boxes(tmp_path: Path) -> None:
    ratios = {name: [1.0, 1.1, 1.2] for name in ("part", "0", "1", "16", "extra")}
    plot_detector([{"model": "nudenet", "ratios": ratios}], tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").stat().st_size > 5_000
