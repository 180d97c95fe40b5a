"""`check_file` is the gate before every library that opens an ONNX file."""

from __future__ import annotations

from pathlib import Path

from ..errors import GraftcamError
from ..reading import map_file
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
    model = Message("model", memoryview(map_file(path, kind)))
    try:
        check_functions(model)
        return check_external_data(model, path)
    except RefusedError as error:
        raise kind(f"{path.name} {error}") from None
    except (ValueError, IndexError) as error:
        reason = "it ends within a field" if isinstance(error, IndexError) else error
        raise kind(f"cannot read {path.name} as ONNX: {reason}; give an ONNX file") from None
