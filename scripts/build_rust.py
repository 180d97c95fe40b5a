"""``python scripts/build_rust.py FOLDER`` builds the example in Rust into a folder.

It needs `rustc` and `bindgen` (Debian: apt-get install rustc bindgen). ONNX Runtime's library is
that of the Python package, its headers those of `build_cpp`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from build_cpp import ROOT, headers, onnxruntime_library

_SOURCE = ROOT / "examples" / "rust" / "explain.rs"
_BOUND = ("--allowlist-function=OrtGetApiBase", "--allowlist-var=ORT_API_VERSION",
          "--no-layout-tests", "--size_t-is-usize")  # fmt: skip


def main(folder: Path) -> int:
    """Build it; 1 if it could not be built, with the reason."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [name for name in ("rustc", "bindgen") if shutil.which(name) is None]
    library, include = onnxruntime_library(folder), headers(folder.parent)
    if library is None or include is None:
        missing += ["ONNX Runtime's headers or library"]
    if missing or library is None or include is None:
        print(
            f"explain: {' and '.join(missing)} are missing (Linux; apt-get install rustc bindgen)"
        )
        return 1
    bindings, program = (folder / "onnxruntime.rs").resolve(), folder / "explain"
    links = [f"-Clink-arg={part}" for part in (library, f"-Wl,-rpath,{library.parent}")]
    done = _ran("bindgen", include / "onnxruntime_c_api.h", *_BOUND, "-o", bindings) and _ran(
        "rustc", "--edition=2021", "-O", _SOURCE, *links, "-o", program, ORT_BINDINGS=bindings
    )
    print(program if done else "explain: the compiler failed")
    return 0 if done else 1


def _ran(*command: str | Path, **environment: str | Path) -> bool:
    texts = {name: str(value) for name, value in environment.items()}
    done = subprocess.run([str(part) for part in command], check=False, env=os.environ | texts)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
