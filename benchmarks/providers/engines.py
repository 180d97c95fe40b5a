"""`ENGINES` lists the engines, what each needs, and the profile of the artifact that it gets."""

from __future__ import annotations

import ctypes.util
import json
import os
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from graftcam.exporter.graph.profiles import ProfileName

from ..script import ROOT

# Where `make browser` installs it.
WEB = ROOT / "examples" / "browser" / "node_modules" / "onnxruntime-web"
_SCRIPT = Path(__file__).parent / "wasm.mjs"
# Browsers bring a Vulkan that computes on the processor, and a loader for it.
_SOFTWARE = [Path("/usr/lib/chromium"), Path("/opt/google/chrome"), Path("/usr/lib64/chromium")]


@dataclass(frozen=True)
class Engine:
    """A way to run an ONNX file.

    Attributes:
        name: In options and keys.
        title: On the page.
        package: What has to be installed for it, besides ONNX Runtime.
        profile: The profile of the artifact that it runs.
        node: It is a package of Node.js.
    """

    name: str
    title: str
    package: str
    profile: ProfileName = "web"
    node: bool = False

    def version(self) -> str | None:
        """Version of its package; None if it is not installed."""
        if self.node:
            try:
                return json.loads((WEB / "package.json").read_text("utf-8"))["version"]
            except OSError:
                return None
        try:
            return metadata.version(self.package)
        except metadata.PackageNotFoundError:
            return None

    def missing(self) -> str | None:
        """What is not installed, with the command that installs it; None: everything is there."""
        if self.node and shutil.which("node") is None:
            return "`node` is not installed (a package of the system)"
        if self.version() is None:
            remedy = "make browser" if self.node else f"pip install {self.package}"
            return f"`{self.package}` is not installed (`{remedy}`)"
        return None

    def command(self, folder: Path) -> list[str]:
        """The command that does the job in ``folder`` (`job.write`)."""
        if self.node:
            return ["node", str(_SCRIPT), str(folder), str(WEB / "dist" / "ort.node.min.mjs")]
        return [sys.executable, "-m", "benchmarks.providers.child", self.name, str(folder)]

    def environment(self) -> dict[str, str]:
        """Environment variables of that command."""
        return software_gpu(_SOFTWARE) if self.name == "webgpu" else {}


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
    Engine("cpu", "ONNX Runtime, CPU", "onnxruntime", "default"),
    Engine("cpu-web", "the same, `web` profile", "onnxruntime"),
    Engine("wasm", "ONNX Runtime, WebAssembly", "onnxruntime-web", node=True),
    Engine("webgpu", "ONNX Runtime, WebGPU plug-in", "onnxruntime-ep-webgpu"),
    Engine("openvino", "OpenVINO", "openvino"),
    Engine("openvino-plugin", "ONNX Runtime, OpenVINO plug-in", "onnxruntime-ep-openvino"),
)
"""In the order of the page."""
