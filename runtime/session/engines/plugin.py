"""`Plugin` opens files in ONNX Runtime, on an execution provider that is a package of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import SessionError, first_line
from ...onnx_file.ports import read_ports
from ..providers import load_onnxruntime
from .engine import Engine, EngineSession

_registered: set[str] = set()


@dataclass(frozen=True)
class Plugin(Engine):
    """An execution provider as a package.

    Attributes:
        module: The package.
        settings: Options of the provider.
    """

    module: str = ""
    settings: Mapping[str, str] = field(default_factory=dict[str, str])

    def start(self) -> Any:
        """Register the provider and return its device; see `Engine`."""
        ort, package = load_onnxruntime(), self.load(self.module)
        if self.module not in _registered:  # once a process
            ort.register_execution_provider_library(self.module, package.get_library_path())
            _registered.add(self.module)
        every = ort.get_ep_devices()
        offered = [one for one in every if one.ep_name == package.get_ep_name()]
        if not offered:
            here = {f"{d.device.type.name} of {d.device.vendor or 'unknown'}" for d in every}
            raise SessionError(
                f"{self.title} has no device on this machine ({', '.join(sorted(here)) or 'none'})"
            )
        return offered[0]

    def open(self, path: Path, threads: int | None) -> EngineSession:
        """Open a file; not one whose nodes all fall back to the CPU; see `Engine`."""
        ort, device = load_onnxruntime(), self.start()
        self.check_profile(path, read_ports(path, SessionError))
        options = ort.SessionOptions()
        options.log_severity_level = 4  # what it says is raised as well
        if threads is not None:
            options.intra_op_num_threads = threads
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        options.add_provider_for_devices([device], dict(self.settings))
        try:
            session = ort.InferenceSession(str(path), options)
        except Exception as error:  # ONNX Runtime's exceptions share no base of their own
            raise self.unread(path, first_line(error)) from error
        placed = Counter(one.ep_name for one in session.get_provider_graph_assignment_info())
        if not placed[device.ep_name]:
            raise self.unread(path, "no node runs there, all would fall back to the CPU")
        return session
