"""``python scripts/build_cpp.py FOLDER`` builds the examples in C++ into a folder.

Libraries are those of the Python packages onnxruntime and openvino, and so are OpenVINO's headers.
Those of ONNX Runtime come in Debian's package libonnxruntime-dev: from the system, or downloaded
and unpacked beside the folder (`apt-get`; nothing is installed).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_SYSTEM = Path("/usr/include/onnxruntime")
_DEBIAN = "deb [trusted=yes] http://deb.debian.org/debian trixie main\n"  # the first that has it
_PACKAGE = "libonnxruntime-dev"


def main(folder: Path) -> int:
    """Build both; 1 if one could not be built, with the reason."""
    folder.mkdir(parents=True, exist_ok=True)
    built = [build_onnxruntime(folder), build_openvino(folder)]
    return 0 if all(built) else 1


def build_onnxruntime(folder: Path) -> bool:
    """Build ``explain`` with ONNX Runtime."""
    library = onnxruntime_library(folder)
    include = headers(folder.parent)
    if library is None or include is None:
        print("explain: ONNX Runtime's headers or library are missing (Linux, Debian's package "
              f"{_PACKAGE})")  # fmt: skip
        return False
    return compiled("explain", folder, include, library)


def build_openvino(folder: Path) -> bool:
    """Build ``explain_openvino`` with OpenVINO."""
    root = package("openvino")
    library = next(root.glob("libs/libopenvino.so.*"), None)
    if library is None:
        print('explain_openvino: OpenVINO is missing (pip install "graftcam[openvino]")')
        return False
    return compiled("explain_openvino", folder, root / "include", library)


def compiled(name: str, folder: Path, include: Path, library: Path) -> bool:
    """Compile one file; what the compiler says is shown."""
    source, program = ROOT / "examples" / "cpp" / f"{name}.cpp", folder / name
    command = ["g++", "-std=c++17", "-O1", "-isystem", include, source, library,
               f"-Wl,-rpath,{library.parent}", "-o", program]  # fmt: skip
    done = subprocess.run([str(part) for part in command], check=False)
    print(program if done.returncode == 0 else f"{name}: the compiler failed")
    return done.returncode == 0


def onnxruntime_library(folder: Path) -> Path | None:
    """A link in ``folder`` to the library in ONNX Runtime's package; None if there is none."""
    library = next(package("onnxruntime", "capi").glob("libonnxruntime.so.1.*"), None)
    if library is None:
        return None
    link = folder.resolve() / "libonnxruntime.so.1"  # the short name that programs ask for
    link.unlink(missing_ok=True)
    link.symlink_to(library)
    return link


def headers(folder: Path) -> Path | None:
    """The folder of ONNX Runtime's headers, below ``folder`` if downloaded; None without them."""
    if (_SYSTEM / "onnxruntime_cxx_api.h").exists():
        return _SYSTEM
    place = (folder / "headers").resolve()
    found = place / "usr" / "include" / "onnxruntime"
    if found.exists():
        return found
    if shutil.which("apt-get") is None:
        return None
    for part in ("lists/partial", "cache/archives/partial"):
        (place / part).mkdir(parents=True, exist_ok=True)
    (place / "debian.list").write_text(_DEBIAN)
    apt = ["apt-get", "-qq", "-o", f"Dir::Etc::sourcelist={place}/debian.list",
           "-o", "Dir::Etc::sourceparts=-", "-o", f"Dir::State::lists={place}/lists",
           "-o", f"Dir::Cache={place}/cache"]  # fmt: skip
    for step in (["update"], ["download", _PACKAGE]):
        if subprocess.run([*apt, *step], check=False, cwd=place).returncode:
            return None
    archive = next(place.glob(f"{_PACKAGE}_*.deb"))
    subprocess.run(["dpkg", "-x", str(archive), str(place)], check=True)
    return found if found.exists() else None


def package(name: str, inside: str = "") -> Path:
    """The folder of an installed package; one that is not there if it is not installed."""
    spec = find_spec(name)
    origin = None if spec is None else spec.origin
    return ROOT / "no-such-package" if origin is None else Path(origin).parent / inside


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
