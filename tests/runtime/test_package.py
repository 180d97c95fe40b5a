"""The runtime stays light: no PyTorch, no onnx, and metadata without anything at all."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from support.artifacts import write_artifact
from support.interpreter import FORBIDDEN, python


def test_using_the_runtime_pulls_in_neither_torch_nor_onnx(tmp_path: Path) -> None:
    path = write_artifact(tmp_path / "patches.onnx")
    code = f"""
import sys
import numpy
from graftcam.runtime import Explainer
image = numpy.arange(60 * 100 * 3, dtype=numpy.uint8).reshape(60, 100, 3)
explanation = Explainer(sys.argv[1]).explain(image, top=2)
explanation.save(sys.argv[2])
print(len(explanation.classes), sorted(set(sys.modules) & set({FORBIDDEN})))
"""
    assert python(code, str(path), str(tmp_path / "out.png")) == "2 []"


def test_the_contract_needs_the_standard_library_only() -> None:
    code = """
import sys
sys.modules.update(dict.fromkeys(["numpy", "cv2", "onnxruntime"]))
from graftcam.runtime.spec import Spec
import graftcam.runtime
print(graftcam.runtime.Spec is Spec)
"""
    assert python(code) == "True"


def test_importing_explainer_imports_no_library_before_an_artifact_is_opened() -> None:
    code = """
import sys
from graftcam.runtime import Explainer
print({'numpy', 'cv2', 'onnxruntime', 'json', 'dataclasses'} & set(sys.modules))
"""
    assert python(code) == "set()"


def test_without_onnxruntime_the_import_works_and_an_explainer_says_what_to_type() -> None:
    code = """
import sys
sys.modules["onnxruntime"] = None
from graftcam.runtime import Explainer, GraftcamError
try:
    Explainer("model.onnx")
except GraftcamError as error:
    print(error)
"""
    assert 'install it with `pip install "graftcam[cpu]"`' in python(code)


def test_the_command_line_starts_with_click_alone_and_explains_without_the_exporters_packages(
    tmp_path: Path,
) -> None:
    code = "import sys, graftcam.cli; print({'numpy', 'cv2', 'onnxruntime'} & set(sys.modules))"
    assert python(code) == "set()"
    path = write_artifact(tmp_path / "patches.onnx")
    image = tmp_path / "grey.png"
    cv2.imwrite(str(image), np.full((60, 100, 3), 90, np.uint8))
    code = f"""
import sys
sys.modules.update(dict.fromkeys({FORBIDDEN}))
from graftcam.cli import main
main(["explain", sys.argv[1], sys.argv[2], "-o", sys.argv[3]])
"""
    assert "red  score" in python(code, str(path), str(image), str(tmp_path / "out"))
