"""A bare loop of ONNX Runtime over photographs, one in a run, in a process of its own.

It runs the artifact for one class with ONNX Runtime's own settings and all threads. ``full``
decodes and prepares each photograph, too; else the tensors are ready before the clock starts. It
prints one line of JSON, in milliseconds of an image: the time, the processor time of all threads
(ONNX Runtime's spin while they wait), and that of reading.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import cycle
from typing import Any

import numpy as np
import onnxruntime as ort

from graftcam.runtime.inputs.image_files import read_image
from graftcam.runtime.inputs.preprocess import prepare
from graftcam.runtime.spec import METADATA_KEY, Spec

CLASS = 7


def main(path: str, seconds: str, how: str, *images: str) -> None:
    """Run for some seconds and print what an image took."""
    ort.set_default_logger_severity(3)
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    spec = Spec.from_json(session.get_modelmeta().custom_metadata_map[METADATA_KEY])
    transform = spec.preprocess
    assert transform is not None
    assert spec.class_index is not None
    layer = spec.layers[0]
    names = [spec.score.output, spec.classes, spec.scores, layer.heatmap]
    chosen = {spec.class_index: np.array([[CLASS]], np.int64)}

    def feeds(image: str) -> dict[str, Any]:
        return {**chosen, transform.input: prepare(transform, read_image(image))[None]}

    ready = {image: feeds(image) for image in images}
    for one in ready.values():
        session.run(names, one)
    count, reading = 0, 0.0
    begun, busy = time.perf_counter(), time.process_time()
    for image in cycle(images):
        since = time.thread_time()
        one = feeds(image) if how == "full" else ready[image]
        reading += time.thread_time() - since
        session.run(names, one)
        count += 1
        if time.perf_counter() - begun > float(seconds):
            break
    spent, used = time.perf_counter() - begun, time.process_time() - busy
    found = {"ms": spent, "cpu_ms": used, "read_cpu_ms": reading}
    print(json.dumps({name: 1000 * value / count for name, value in found.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
