"""`check_file` is the gate before every library that opens an ONNX file."""

from __future__ import annotations

import mmap
import stat
from pathlib import Path

from ..errors import GraftcamError, system_errors
from .external_data import check_external_data
from .functions import check_functions
from .messages import Message, RefusedError


def check_file(path: Path, kind: type[GraftcamError]) -> list[str]:
    """Check that a library may open ``path``, and return the files beside it that it names.

    Only the model's structure is read: where weights lie, and what functions call.

    Args:
        path: An ONNX file.
        kind: The error to raise.

    Raises:
        GraftcamError: Of ``kind``: it is no ONNX file, names a file that it must not, or its
            functions grow too large.
    """
    model = Message("model", memoryview(_content(path, kind)))
    try:
        check_functions(model)
        return check_external_data(model, path)
    except RefusedError as error:
        raise kind(f"{path.name} {error}") from None
    except (ValueError, IndexError) as error:
        reason = "it ends within a field" if isinstance(error, IndexError) else error
        raise kind(f"cannot read {path.name} as ONNX: {reason}; give an ONNX file") from None


def _content(path: Path, kind: type[GraftcamError]) -> mmap.mmap:
    """The bytes of a file, mapped; the mapping ends once nothing refers to it."""
    with system_errors(kind, f"cannot read {path}"):
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise kind(f"cannot read {path}: it is no file; give an ONNX file")
        if not status.st_size:
            raise kind(f"cannot read {path.name} as ONNX: it is empty; give an ONNX file")
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
