"""An `Engine` is a program that runs ONNX files.

Whatever it is, its sessions show the part of ONNX Runtime's interface that graftcam uses, so that
the runtime and the verification know no engine by name.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

from numpy.typing import NDArray

from ...errors import SessionError, SpecError, first_line
from ...onnx_file.ports import FilePorts, PortInfo, read_ports
from ...spec import METADATA_KEY, Spec

Array = NDArray[Any]
_PLACE = re.compile(r"\.(cpp|cc|hpp|h):\d+")


class EngineSession(Protocol):
    """A file that an engine has opened; ONNX Runtime's ``InferenceSession`` is one."""

    def get_inputs(self) -> Sequence[Any]:
        """The inputs that must be fed, each with ``name``, ``type`` and ``shape``."""
        ...

    def get_outputs(self) -> Sequence[Any]:
        """The outputs, likewise."""
        ...

    def get_overridable_initializers(self) -> Sequence[Any]:
        """The inputs that have a default, likewise."""
        ...

    def get_modelmeta(self) -> Any:
        """What has the file's entries as ``custom_metadata_map``."""
        ...

    def get_providers(self) -> list[str]:
        """What runs the file, first."""
        ...

    def run(self, names: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        """The outputs ``names``."""
        ...


@dataclass(frozen=True)
class Engine(ABC):
    """A program that runs ONNX files.

    Attributes:
        name: In options and reports.
        title: In sentences.
        package: Its package.
        install: What has to be installed for it: the end of a sentence.
        profile: The profile whose artifacts it gets right; None: any.
        why: What it does to those of others.
    """

    name: str
    title: str
    package: str
    install: str
    profile: str | None = None
    why: str = ""

    @abstractmethod
    def start(self) -> Any:
        """Return what `open` needs: the package that was imported, for example.

        Raises:
            SessionError: The engine is not installed, or has no device here.
        """

    @abstractmethod
    def open(self, path: Path, threads: int | None) -> EngineSession:
        """Open a file, with so many threads; None: the engine's own choice.

        Raises:
            SessionError: The engine is not installed, or cannot read the file.
        """

    def version(self) -> str:
        """Return the version of its package."""
        return metadata.version(self.package)

    def load(self, module: str) -> Any:
        """Import a package that the engine is made of.

        Raises:
            SessionError: It is not installed.
        """
        try:
            return import_module(module)
        except ImportError as error:
            raise self.missing(first_line(error)) from error

    def check_profile(self, path: Path, ports: FilePorts) -> None:
        """Refuse an artifact of another profile; other files may be anything.

        Raises:
            SessionError: It is one.
        """
        text = ports.metadata.get(METADATA_KEY)
        if text is None or self.profile is None:
            return
        try:
            found = Spec.from_json(text).profile or "default"
        except SpecError:  # the reading of the record says so
            return
        if found != self.profile:
            raise SessionError(
                f"{path} has profile {found}, and runs wrong in {self.title}: {self.why}; export "
                f"it with --profile {self.profile}"
            )

    def missing(self, reason: str) -> SessionError:
        """The error where the engine is not installed."""
        return SessionError(f"{self.title} is not installed ({reason}); {self.install}")

    def unread(self, path: Path, reason: str) -> SessionError:
        """The error where it refuses a file."""
        return SessionError(f"{path}: {self.title} cannot load it: {reason}")


class FileSession:
    """A session whose inputs, outputs and metadata are what the file says of them."""

    def __init__(self, engine: Engine, path: Path) -> None:
        """Read the file's ports."""
        self.engine, self.path = engine, path
        self._ports = read_ports(path, SessionError)
        engine.check_profile(path, self._ports)

    def get_inputs(self) -> list[PortInfo]:
        """The inputs that must be fed."""
        return self._ports.inputs

    def get_outputs(self) -> list[PortInfo]:
        """The outputs."""
        return self._ports.outputs

    def get_overridable_initializers(self) -> list[PortInfo]:
        """The inputs that have a default."""
        return self._ports.optional

    def get_modelmeta(self) -> Any:
        """What has the file's entries as ``custom_metadata_map``."""
        return SimpleNamespace(custom_metadata_map=self._ports.metadata)

    def get_providers(self) -> list[str]:
        """The engine's name."""
        return [self.engine.name]

    def end_profiling(self) -> str:
        """No engine but ONNX Runtime writes a profile."""
        raise SessionError(f"{self.engine.title} writes no profile")


def own_words(message: str, most: int = 300) -> str:
    """Return what an engine says, in one line and without the places in its own source."""
    lines = [line.strip() for line in message.splitlines()]
    kept = [line for line in lines if line and not _PLACE.search(line)]
    return " ".join(" ".join(kept or lines).split())[:most]
