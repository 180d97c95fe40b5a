"""`ENGINES` lists the engines, and the profile of the artifact that each gets."""

from __future__ import annotations

import ctypes.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from graftcam.exporter.graph.profiles import ProfileName
from graftcam.runtime.errors import GraftcamError
from graftcam.runtime.session.engines.table import ENGINES as OTHERS
from graftcam.runtime.session.engines.table import version_of_engine

from ..script import ROOT

# Where `make browser` installs onnxruntime-web, which Node.js then finds.
WEB = ROOT / "examples" / "browser" / "node_modules"
# Browsers bring a Vulkan that computes on the processor, and a loader for it.
_SOFTWARE = [Path("/usr/lib/chromium"), Path("/opt/google/chrome"), Path("/usr/lib64/chromium")]


@dataclass(frozen=True)
class Engine:
    """A way to run an ONNX file.

    Attributes:
        name: Of the runtime's engines; ``cpu`` and ``cuda`` are ONNX Runtime's providers.
        title: On the page.
        profile: The profile of the artifact that it runs.
        timed: Whether its times count; those of evaluators that are witnesses only do not.
    """

    name: str
    title: str
    profile: ProfileName
    timed: bool = True

    def version(self) -> str | None:
        """Version of its package; None if it is not installed."""
        with mock.patch.dict(os.environ, self.environment()):  # Node.js inherits it
            try:
                return version_of_engine(self.name).partition(" ")[2]
            except (GraftcamError, ImportError):
                return None

    @property
    def package(self) -> str:
        """Its package."""
        return OTHERS[self.name].package if self.name in OTHERS else "onnxruntime"

    def command(self, folder: Path) -> list[str]:
        """The command that does the job in ``folder`` (`job.write`)."""
        return [sys.executable, "-m", "benchmarks.engines.child", self.name, str(folder)]

    def environment(self) -> dict[str, str]:
        """Environment variables of that command."""
        web = {"NODE_PATH": str(WEB)}
        return web | (software_gpu(_SOFTWARE) if self.name == "webgpu" else {})

    @property
    def imitated(self) -> bool:
        """Whether a processor stands in for its GPU."""
        return len(self.environment()) > 1


def software_gpu(browsers: list[Path], gpus: Path = Path("/sys/class/drm")) -> dict[str, str]:
    """Environment in which WebGPU runs on a processor, if there is no GPU but a browser's Vulkan.

    Args:
        browsers: Folders where a browser may be.
        gpus: The folder in which Linux lists GPUs.
    """
    cards = [*gpus.glob("card*")] if gpus.is_dir() else []
    folder = next((one for one in browsers if (one / _DRIVER).exists()), None)
    if cards or folder is None:
        return {}
    found = {
        "ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER": "1",
        "VK_DRIVER_FILES": str(folder / _DRIVER),
        "VK_ICD_FILENAMES": str(folder / _DRIVER),  # what older loaders read
    }
    if ctypes.util.find_library("vulkan") is None:
        paths = [str(folder), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
        found["LD_LIBRARY_PATH"] = os.pathsep.join(paths)
    return found


_DRIVER = "vk_swiftshader_icd.json"

ENGINES = (
    Engine("cpu", "ONNX Runtime, CPU", "default"),
    Engine("openvino", "OpenVINO", "openvino"),
    Engine("openvino-plugin", "ONNX Runtime, OpenVINO plug-in", "openvino"),
    Engine("web", "ONNX Runtime, WebAssembly", "web"),
    Engine("webgpu", "ONNX Runtime, WebGPU plug-in", "webgpu"),
    Engine("tinygrad", "tinygrad", "web", timed=False),
    Engine("onnx", "onnx's evaluator", "web", timed=False),
    Engine("cuda", "ONNX Runtime, CUDA", "cuda"),
)
"""In the order of the page."""
