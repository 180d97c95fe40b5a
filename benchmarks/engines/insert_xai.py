"""``PYTHON insert_xai.py PLAIN.onnx OUT.xml`` adds the branch of OpenVINO XAI to a model.

PYTHON is that of an environment with ``openvino_xai``, which needs OpenVINO 2024.4 and NumPy 1. The
file that it writes is read by later versions as well.
"""

from __future__ import annotations

import sys
from importlib import import_module


def main() -> None:
    """Insert the method that the package chooses, at the layer that it chooses, for one image."""
    source, target = sys.argv[1:]
    openvino, xai = import_module("openvino"), import_module("openvino_xai")
    model = openvino.Core().read_model(source)
    model.reshape([1, *(axis.get_length() for axis in list(model.input(0).partial_shape)[1:])])
    whole = xai.insert_xai(model, task=xai.Task.CLASSIFICATION)
    openvino.save_model(whole, target, compress_to_fp16=False)


if __name__ == "__main__":
    main()
