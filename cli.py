"""The command line parses options, calls the library and prints; also ``python -m graftcam``."""

from __future__ import annotations

import errno
import os
from typing import Any

import click

from .commands.common import example
from .commands.signals import ending_by_signals
from .commands.table import SUMMARIES, Commands
from .runtime.errors import GraftcamError, first_line
from .runtime.limits import RELAYED
from .runtime.plain_text import clip, plain
from .runtime.version import __version__

# OpenCV's message about a broken image is part of the error's one line.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")


class _Group(click.Group):
    """A group that turns the project's and the system's errors into one line and an exit code."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the command line; a signal to end it unwinds it."""
        with ending_by_signals():
            return super().main(*args, **options)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands as click does, without importing them."""
        limit = formatter.width - 6 - max(map(len, SUMMARIES))
        with formatter.section("Commands"):
            formatter.write_dl([
                (name, click.Command(name, help=text).get_short_help_str(limit))
                for name, text in SUMMARIES.items()
            ])  # fmt: skip

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MemoryError as error:
            reason = first_line(error)
            raise click.ClickException(f"there is not enough memory: {plain(reason)}") from error
        except click.ClickException as error:
            # Names of files, from a pattern of the shell, can be in it.
            vars(error)["message"] = plain(error.message)
            raise
        except GraftcamError as error:
            failure = click.ClickException(str(error))
            if error.exit_code == failure.exit_code:
                raise failure from error
            failure.show()
            raise click.exceptions.Exit(error.exit_code) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of the output has gone
                raise
            where = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(plain(f"{where}{error.strerror or error}")) from error
        except Exception as error:
            # OpenCV's, of many lines; a command that does not need it has not imported it.
            if type(error).__module__ != "cv2":
                raise
            reason = " ".join(str(error).split())
            raise click.ClickException(plain(f"OpenCV failed: {clip(reason, RELAYED)}")) from error


@click.group(
    cls=_Group,
    commands=Commands(),
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=example(
        "graftcam export torchvision:resnet50 --weights resnet50.pt -o resnet50.onnx",
        "graftcam explain torchvision:resnet50 photo.jpg -o out",
        "graftcam explain resnet50.onnx photo.jpg -o out",
        "graftcam demo",
    ),
)
@click.version_option(__version__, prog_name="graftcam")
def main() -> None:
    """Grad-CAM grafted into your ONNX model: one file that predicts and explains."""


if __name__ == "__main__":
    main(prog_name="graftcam")
