"""Install PyTorch from the smallest source, and say before how much is downloaded.

    python scripts/install_torch.py          # for the CPU, where PyTorch's own index answers
    python scripts/install_torch.py pypi     # from your package index: with CUDA on Linux
    python scripts/install_torch.py cu130    # from PyTorch's index for that version of CUDA
    python scripts/install_torch.py https://example.org/simple

The packages and their versions are those of the extra ``export``. What is installed stays.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from importlib import metadata
from pathlib import Path
from urllib.request import urlopen

PACKAGES = ("torch", "torchvision")
INDEX = "https://download.pytorch.org/whl/"
SECONDS = 5.0
WITH_CUDA = "3 GB with CUDA's libraries, 6 GB installed"


@dataclass(frozen=True)
class Choice:
    """Where PyTorch comes from.

    Attributes:
        url: The package index; None for the one that pip uses.
        says: What is downloaded, as a sentence.
        required: Fail if the index has no fitting package, instead of using pip's own.
    """

    url: str | None
    says: str
    required: bool = False


def requirements() -> list[str]:
    """Return PyTorch's packages with their versions, as pyproject.toml has them."""
    path = Path(__file__).parent.parent / "pyproject.toml"
    extra = tomllib.loads(path.read_text("utf-8"))["project"]["optional-dependencies"]["export"]
    return [one for one in extra if re.split(r"[^\w-]", one)[0] in PACKAGES]


def answers(url: str, seconds: float = SECONDS) -> bool:
    """Whether an index lists packages of PyTorch within some seconds.

    A thread does the asking, as looking up a name has no timeout of its own.
    """
    found: list[bool] = []

    def ask() -> None:
        try:
            with urlopen(f"{url}torch/", timeout=seconds) as page:
                found.append(b"torch-" in page.read(1 << 20))
        except (OSError, HTTPException):
            pass

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return found == [True]


def choose(
    index: str, system: str, machine: str, answering: Callable[[str], bool] = answers
) -> Choice:
    """Choose the package index.

    Args:
        index: ``auto``, ``pypi``, a folder of PyTorch's index (``cpu``, ``cu130``) or an address.
        system: As ``platform.system()`` names it.
        machine: As ``platform.machine()`` names it.
        answering: Whether an index can be reached.

    Raises:
        ValueError: ``index`` is none of these.
    """
    if index.startswith(("https://", "http://", "file://")):
        return Choice(index, f"PyTorch comes from {index}", required=True)
    if index == "auto" and system == "Linux" and machine in ("x86_64", "aarch64"):
        cpu = f"{INDEX}cpu/"
        if answering(cpu):
            return Choice(cpu, "PyTorch for the CPU: downloads about 200 MB, 1 GB installed")
        return Choice(
            None,
            f"{INDEX} does not answer: PyTorch comes from your package index (up to {WITH_CUDA}; "
            "TORCH_INDEX=https://... names another index)",
        )
    if index in ("auto", "pypi"):
        size = f"up to {WITH_CUDA}" if system == "Linux" else "about 150 MB"
        return Choice(None, f"PyTorch comes from your package index: downloads {size}")
    if re.fullmatch(r"[a-z]+[\d.]*", index):
        url = f"{INDEX}{index}/"
        return Choice(url, f"PyTorch comes from {url}", required=True)
    raise ValueError(
        f"TORCH_INDEX={index!r} is neither auto, pypi, cpu, cu130 (or the like) nor https://..."
    )


def installed() -> bool:
    """Whether both packages are there."""
    try:
        return all(metadata.version(package) for package in PACKAGES)
    except metadata.PackageNotFoundError:
        return False


def main(index: str = "auto") -> int:
    """Install; return an exit code."""
    if installed():
        return 0
    try:
        choice = choose(index, platform.system(), platform.machine())
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(choice.says, flush=True)
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--progress-bar", "off"]
    source = ["--index-url", choice.url] if choice.url else []
    code = subprocess.run([*pip, *source, *requirements()], check=False).returncode
    if code and choice.url and not choice.required:
        says = f"{choice.url} has none that fits: trying your package index (up to {WITH_CUDA})"
        print(says, flush=True)
        code = subprocess.run([*pip, *requirements()], check=False).returncode
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
