"""This module defines every error that a user can cause; each message contains the remedy."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from .exit_codes import ExitCode
from .limits import MESSAGE, RELAYED
from .plain_text import clip, plain


class GraftcamError(Exception):
    """Base of all errors of graftcam; the command line prints one line and exits with 1.

    The message is one line of bounded length that controls no terminal, whatever the names in it.

    Attributes:
        exit_code: The command line's.
    """

    exit_code = ExitCode.FAILED

    def __init__(self, message: object = "") -> None:
        super().__init__(clip(plain(str(message)), MESSAGE))


class SpecError(GraftcamError):
    """A file is not a graftcam artifact, or follows a newer specification."""


class SessionError(GraftcamError):
    """ONNX Runtime is missing, cannot load the file, or lacks the requested provider."""


class RunError(SessionError):
    """A run failed on its inputs: the graph does not take them, or they need too much memory."""


class ImageError(GraftcamError):
    """An image cannot be read or has a shape or type that cannot be explained."""


class ClassError(GraftcamError):
    """A class id is out of range or a label is unknown."""


class PositionError(ClassError, IndexError):
    """An explanation has no class at the requested position."""


class InputError(GraftcamError):
    """The requested tensors or layers do not fit the artifact's inputs and outputs."""


class RenderError(GraftcamError):
    """An overlay cannot be drawn with these options, or its file cannot be written."""


class JobError(GraftcamError):
    """A job's results cannot be written, or belong to another job."""


class PackageError(GraftcamError):
    """An artifact cannot be packaged with these options, or the folder cannot be written."""


class TruthError(GraftcamError):
    """What people drew on photographs cannot be read, or fits neither them nor the labels."""


class CacheError(GraftcamError):
    """The cache of artifacts cannot be found, read or written."""


class CustodyError(GraftcamError):
    """A file is not as it was exported or signed, or cannot be signed."""


@contextlib.contextmanager
def system_errors(kind: type[GraftcamError], failed: str, remedy: str = "") -> Generator[None]:
    """Raise an OSError as ``kind``, with what ``failed`` (``cannot write x``) and the reason."""
    try:
        yield
    except OSError as error:
        raise kind(f"{failed}: {error.strerror or error}{remedy}") from error


def first_line(error: BaseException) -> str:
    """Return the first line of another library's message, of bounded length."""
    lines = str(error).strip().splitlines()
    return clip(lines[0], RELAYED) if lines else type(error).__name__
