"""`python_of` makes an environment for packages that need other versions than graftcam's own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Environment:
    """A virtual environment, in which a module of this folder makes the maps of some packages.

    Attributes:
        pins: Its packages with versions, as pip takes them.
        script: The module.
    """

    pins: tuple[str, ...]
    script: str


# xplique 1.5.2 imports two packages that it does not require: einops and TensorFlow Probability.
TENSORFLOW = Environment(
    (
        "tf-keras-vis==0.8.7", "xplique==1.5.2", "tensorflow-cpu==2.15.1",
        "tensorflow-probability==0.23.0", "einops==0.8.2", "numpy==1.26.4",
    ),
    "tensorflow_cases",
)  # fmt: skip
OPENVINO = Environment(("openvino-xai==1.1.0", "numpy==1.26.4"), "openvino_cases")
ENVIRONMENTS = {"tf-keras-vis": TENSORFLOW, "Xplique": TENSORFLOW, "OpenVINO XAI": OPENVINO}


def python_of(peer: str, folder: Path) -> Path:
    """Return the Python of a package's environment, which is made if it is not there.

    Raises:
        RuntimeError: The environment cannot be made; the message is pip's last line.
    """
    pins = ENVIRONMENTS[peer].pins
    place = folder / ENVIRONMENTS[peer].script
    python, done = place / "bin" / "python", place / "installed.txt"
    if done.exists() and done.read_text("utf-8").split() == list(pins):
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pins]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"{peer}: {(ran.stderr.strip().splitlines() or ['pip failed'])[-1]}")
    done.write_text("\n".join(pins), "utf-8")
    return python
