"""`ENGINES` lists the engines other than ONNX Runtime's own providers."""

from __future__ import annotations

import json

from ...errors import SessionError
from ..providers import choose_providers, load_onnxruntime
from .engine import Engine
from .node import Web
from .openvino import SETTINGS, OpenVino
from .plugin import Plugin
from .witness import Onnx, Tinygrad

_CONFIG = {"load_config": json.dumps({"CPU": SETTINGS})}
_CONSTANTS = (
    "it makes constants of inputs that have a default, and confuses weights that are used twice"
)
_NO_DEFAULTS = "inputs with a default cannot be fed"
ENGINES: dict[str, Engine] = {
    one.name: one
    for one in (
        OpenVino("openvino", "OpenVINO", "openvino", '`pip install "graftcam[openvino]"`',
                 "openvino", _CONSTANTS),
        Plugin("openvino-plugin", "ONNX Runtime's OpenVINO plug-in", "onnxruntime-ep-openvino",
               "`pip install onnxruntime-ep-openvino`", "openvino", _CONSTANTS,
               "onnxruntime_ep_openvino", _CONFIG),
        Web("web", "ONNX Runtime's WebAssembly", "onnxruntime-web",
            "install Node.js, and `npm install onnxruntime-web` in this folder", "web",
            _NO_DEFAULTS),
        Plugin("webgpu", "ONNX Runtime's WebGPU plug-in", "onnxruntime-ep-webgpu",
               "`pip install onnxruntime-ep-webgpu`", "webgpu",
               "its pools have no indices, and its tensors no extent of 0",
               "onnxruntime_ep_webgpu"),
        Plugin("tensorrt-rtx", "ONNX Runtime's TensorRT-RTX plug-in",
               "onnxruntime-ep-nv-tensorrt-rtx", "`pip install onnxruntime-ep-nv-tensorrt-rtx`",
               "cuda", "it takes no sizes that depend on numbers",
               "onnxruntime_ep_nv_tensorrt_rtx"),
        Onnx("onnx", "onnx's reference evaluator", "onnx", "`pip install onnx`"),
        Tinygrad("tinygrad", "tinygrad", "tinygrad", "`pip install tinygrad`, and clang", "web",
                 _NO_DEFAULTS),
    )
}  # fmt: skip
"""By name. Any provider of the installed ONNX Runtime is an engine, too: ``cuda``, ``tensorrt``."""


def start_engine(name: str) -> None:
    """Check that the engine ``name`` is installed and has a device; see `Engine.start`.

    Raises:
        SessionError: It is not, or there is no such engine.
    """
    if name in ENGINES:
        ENGINES[name].start()
        return
    try:
        choose_providers(name, load_onnxruntime().get_available_providers())
    except SessionError as error:
        raise SessionError(f"{error}; other engines are {', '.join(ENGINES)}") from None


def version_of_engine(name: str) -> str:
    """Return an engine's name and version, such as ``openvino 2026.4.1``."""
    found = ENGINES[name].version() if name in ENGINES else load_onnxruntime().__version__
    return f"{name} {found}"


def profile_of_engine(name: str | None) -> str | None:
    """Return the profile of the artifacts that an engine gets right, if it needs one."""
    return ENGINES[name].profile if name in ENGINES else None


def engine_title(provider: str) -> str:
    """Return what a session that runs on ``provider`` is called in sentences."""
    return ENGINES[provider].title if provider in ENGINES else "ONNX Runtime"
