"""These functions open a file in one engine; each imports its engine only when it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from graftcam.runtime.tools.bench.timing import calm

Array = npt.NDArray[Any]
Model = Callable[[Mapping[str, Array], Sequence[str]], list[Array]]
"""Takes inputs by name and the names of the wanted outputs; returns these."""
Opener = Callable[[Path], Model]


class NoDeviceError(Exception):
    """The engine is installed, but finds nothing to run on."""


def cpu(threads: int) -> tuple[Opener, str]:
    """ONNX Runtime's own CPU provider."""
    from ..session import open_session

    return lambda path: _session(open_session(path, threads)), "CPU"


def openvino(threads: int) -> tuple[Opener, str]:
    """OpenVINO by its own API, in float32 (its default is bfloat16 where the CPU has that)."""
    core = import_module("openvino").Core()
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }

    def opened(path: Path) -> Model:
        compiled = core.compile_model(str(path), "CPU", settings)
        request = compiled.create_infer_request()
        places = {name: port for port in compiled.outputs for name in port.names}

        def run(feeds: Mapping[str, Array], names: Sequence[str]) -> list[Array]:
            found = request.infer(dict(feeds), share_inputs=True, share_outputs=True)
            return [np.asarray(found[places[name]]) for name in names]

        return run

    return opened, str(core.get_property("CPU", "FULL_DEVICE_NAME"))


def plugin(module: str) -> Callable[[int], tuple[Opener, str]]:
    """An execution provider that comes as a package of its own."""

    def start(threads: int) -> tuple[Opener, str]:
        ort, package = import_module("onnxruntime"), import_module(module)
        ort.set_default_logger_severity(3)
        ort.register_execution_provider_library(module, package.get_library_path())
        offered = [d for d in ort.get_ep_devices() if d.ep_name == package.get_ep_name()]
        if not offered:
            hardware = sorted({f"{d.device.type.name} of {d.device.vendor or 'unknown'}"
                               for d in ort.get_ep_devices()})  # fmt: skip
            raise NoDeviceError(f"the plug-in offers no device on this machine ({hardware[0]})")

        def opened(path: Path) -> Model:
            options = ort.SessionOptions()
            options.log_severity_level = 3
            options.intra_op_num_threads = threads
            calm(options)
            options.add_provider_for_devices(offered[:1], {})
            return _session(ort.InferenceSession(path, sess_options=options))

        return opened, f"{offered[0].device.type.name} of {offered[0].device.vendor or 'unknown'}"

    return start


def _session(session: Any) -> Model:
    return lambda feeds, names: session.run(list(names), dict(feeds))


OPENERS: dict[str, Callable[[int], tuple[Opener, str]]] = {
    "cpu": cpu,
    "cpu-web": cpu,
    "webgpu": plugin("onnxruntime_ep_webgpu"),
    "openvino": openvino,
    "openvino-plugin": plugin("onnxruntime_ep_openvino"),
}
"""By the engine's name: starts the engine with so many threads, and says on what it runs."""
