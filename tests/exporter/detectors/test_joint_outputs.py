"""One output for each level, with boxes and classes in it, is refused: the decoding is outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from graftcam.exporter import ScoreError, export
from graftcam.exporter.report.report import Report
from support.onnx_text import parsed

CHANNELS = {"cls": 3, "box": 4, "obj": 1, "bins": 64, "three": 27, "seven": 7}
DECODED = "decoded outside the graph; export the model with the decoding of its boxes inside"


def made(folder: Path, steps: str, rank: int, size: str = "32, 32", **options: Any) -> Report:
    """Export a model whose levels ``p`` of strides 8 and 16 end in the same ``steps``."""
    rng = np.random.default_rng(0)
    weights = {"stem": (6, 3, 8, 8), "coarse": (6, 3, 16, 16)}
    weights |= {name: (count, 6, 1, 1) for name, count in CHANNELS.items()}
    constants: dict[str, Any] = {
        name: rng.standard_normal(shape).astype(np.float32) for name, shape in weights.items()
    }
    constants |= {"a8": np.array([1, 3, 9, 4, 4]), "a16": np.array([1, 3, 9, 2, 2])}
    heads = "".join(steps.replace("#", level) for level in ("8", "16"))
    outputs = (f"float[{', '.join(['1', *(f'd{d}_{s}' for d in range(rank - 1))])}] out{s}"
               for s in (8, 16))  # fmt: skip
    proto = parsed(
        f"""<ir_version: 8, opset_import: ["" : 18]>
        joint (float[1, 3, {size}] image) => ({", ".join(outputs)}) {{
            f8 = Conv <kernel_shape = [8, 8], strides = [8, 8]> (image, stem)
            p8 = Tanh(f8)
            f16 = Conv <kernel_shape = [16, 16], strides = [16, 16]> (image, coarse)
            p16 = Tanh(f16)
            {heads} }}""",
        constants,
    )
    (folder / "plain.onnx").write_bytes(proto.SerializeToString())
    onnx.checker.check_model(proto)
    return export(folder / "plain.onnx", folder / "m.onnx", verify="off", **options)


JOINED = "b# = Conv(p#, box) o# = Conv(p#, obj) c# = Conv(p#, cls) "
HEADS = {
    "joined": (JOINED + "out# = Concat <axis = 1> (b#, o#, c#) ", 4),
    "joined with probabilities": (
        JOINED + "q# = Sigmoid(o#) r# = Sigmoid(c#) out# = Concat <axis = 1> (b#, q#, r#) ", 4,
    ),
    "distributions": (
        "b# = Conv(p#, bins) c# = Conv(p#, cls) out# = Concat <axis = 1> (b#, c#) ", 4,
    ),
    "three anchors": ("out# = Conv(p#, three) ", 4),
    "three anchors in rows": (
        "t# = Conv(p#, three) u# = Reshape(t#, a#) "
        "out# = Transpose <perm = [0, 1, 3, 4, 2]> (u#) ", 5,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("steps", "rank"), HEADS.values(), ids=HEADS)
def test_a_level_with_one_output_is_refused_for_the_true_reason(
    tmp_path: Path, steps: str, rank: int
) -> None:
    seen = r"out8, out16 hold \d+ numbers for each place of the strides 8, 16"
    with pytest.raises(ScoreError, match=f"{seen}.*{DECODED}; or take it for a classifier"):
        made(tmp_path, steps, rank)
    with pytest.raises(ScoreError, match=f"no detector of format 'levels': .*{DECODED}"):
        made(tmp_path, steps, rank, detector="levels")
    assert not (tmp_path / "m.onnx").exists()


def test_open_sizes_hide_nothing(tmp_path: Path) -> None:
    with pytest.raises(ScoreError, match=DECODED):
        made(tmp_path, HEADS["joined"][0], 4, size="H, W")


@pytest.mark.parametrize("options", [{"labels": [f"class {n}" for n in range(27)]},
                                     {"detector": "off"}])  # fmt: skip
def test_scales_of_a_segmentation_are_explained_by_class(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    assert made(tmp_path, "out# = Conv(p#, three) ", 4, **options).spec.detector is None
    assert made(tmp_path, "out# = Conv(p#, seven) ", 4).spec.detector is None
