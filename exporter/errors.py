"""This module defines the errors of an export; each message contains the remedy."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Any

from ..runtime.errors import GraftcamError
from ..runtime.errors import first_line as first_line
from ..runtime.exit_codes import ExitCode
from ..runtime.plain_text import plain, plain_lines

_MOST = 120  # characters of a value that a message shows


class SettingsError(GraftcamError):
    """An argument of the export has a value that it cannot have."""


class CaptureError(GraftcamError):
    """The source cannot be loaded or converted to an ONNX graph."""


class MalformedError(CaptureError):
    """A step fails at the graph of a file for a reason that it does not know; the cause tells."""


class LayerError(GraftcamError):
    """A target layer is unknown, returns no usable tensor or does not lead to the score.

    Attributes:
        candidates: Layers that the automatic choice considered (`Candidate`), if it took none.
    """

    def __init__(self, message: str, candidates: Sequence[Any] = ()) -> None:
        self.candidates = list(candidates)
        super().__init__(message)


class ScoreError(GraftcamError):
    """No output of the model can serve as class scores."""


class UnsupportedError(GraftcamError):
    """Operators between the layer and the score cannot be differentiated; lists all of them.

    Attributes:
        obstacles: One line for each operator: its name, location, reason and remedy.
        later: The first layer after all of them that can be explained, if there is one.
    """

    start = "the layer"

    def __init__(self, obstacles: Sequence[str], later: str | None = None) -> None:
        self.obstacles = list(obstacles)
        self.later = later
        plural = "operators have" if len(self.obstacles) > 1 else "operator has"
        heading = (
            f"{len(self.obstacles)} {plural} no gradient between {self.start} and the score "
            f"({self._remedy()}):"
        )
        super().__init__(heading)
        # A line for each, where other messages have one in all.
        lines = [heading, *(f"  {one}" for one in self.obstacles)]
        self.args = (plain_lines(lines),)

    def _remedy(self) -> str:
        such = f" such as {self.later!r}" if self.later else ""
        return f"choose a later layer{such}, see `graftcam layers`"


class InputUnsupportedError(UnsupportedError):
    """The same between the input and the layers, if the input's gradient is requested."""

    start = "the input"

    def _remedy(self) -> str:
        return (
            "the layers can be explained: leave out the extras input_gradients, guided and fullgrad"
        )


class IntegerError(UnsupportedError):
    """The same of a quantised model that computes with integers; its reason is one for all."""

    def __init__(self, reason: str, obstacles: Sequence[str], later: str | None = None) -> None:
        super().__init__(obstacles, later)
        such = f"; or choose a later layer such as {later!r}" if later else ""
        self.args = (plain(f"{reason}{such}"),)


class VerificationError(GraftcamError):
    """The artifact disagrees with its reference; it is not written."""


class UnprovenError(VerificationError):
    """The artifact may be right, but its verification did not come to its end; it is not written.

    Attributes:
        exit_code: Of the command line, where other errors have 1.
    """

    exit_code = ExitCode.UNPROVEN


class WriteError(GraftcamError):
    """The artifact cannot be written."""


@contextlib.contextmanager
def errors_of_model(model: object) -> Generator[None]:
    """Raise as one line what a model does to the code that works on it.

    A file may have faults that no check knows. The code of a module is the user's: its errors stay
    as they are, but it must not end the program as if all were well.

    Args:
        model: The path of a file, or a module.

    Raises:
        MalformedError: A step failed at a file.
        CaptureError: The model's code ended the program.
    """
    name = Path(model).name if isinstance(model, (str, Path)) else type(model).__name__
    try:
        yield
    except SystemExit as end:
        raise CaptureError(
            f"{name} ends the program with sys.exit({end.code!r}); let it return or raise"
        ) from end
    except GraftcamError:
        raise
    except Exception as error:
        if not isinstance(model, (str, Path)):
            raise
        raise MalformedError(
            f"cannot follow the graph of {name}: {type(error).__name__}: {first_line(error)}; if "
            "onnx.checker.check_model takes it, report this"
        ) from error


def in_line(value: object) -> str:
    """Return a value as text of one line: a module's is a page."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _MOST else f"{text[:_MOST]}..."


def unknown_layer(name: str, names: Iterable[str]) -> str:
    """Return the message for a layer that does not exist."""
    near = difflib.get_close_matches(name, sorted(set(names)), n=4, cutoff=0.4)
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    return f"no layer is called {name!r}{hint} (`graftcam layers` lists them)"
