"""The exception tree: every error a user can cause, each with a remedy in its message."""

from __future__ import annotations


class GraftcamError(Exception):
    """Base of all errors raised on purpose; the command line prints it as one line, exit code 1."""


class SpecError(GraftcamError):
    """A file is no graftcam artifact, or one of a newer specification."""


class SessionError(GraftcamError):
    """ONNX Runtime is missing, cannot load the file, or lacks the requested provider."""


class ImageError(GraftcamError):
    """An image cannot be read or has a shape or type that cannot be explained."""


class ClassError(GraftcamError):
    """A class id is out of range or a label is unknown."""


class PositionError(ClassError, IndexError):
    """An explanation has fewer classes than the position asked for."""


class InputError(GraftcamError):
    """Tensors or layers asked for do not fit the artifact's inputs and outputs."""


class RenderError(GraftcamError):
    """An overlay cannot be drawn as asked, or its file cannot be written."""


class JobError(GraftcamError):
    """A job's results cannot be written, or belong to another job."""


class PackageError(GraftcamError):
    """An artifact cannot be laid out for a server as asked, or the folder cannot be written."""
