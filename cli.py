"""The command line parses options, calls the library and prints; also ``python -m graftcam``."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any

import click

from .commands.common import example
from .commands.completes import VARIABLE
from .commands.signals import ending_by_signals
from .commands.table import SUMMARIES, Commands
from .commands.terminal import (
    asks_for_json,
    end_of_readers,
    print_any_letter,
    say,
    show_error,
)
from .runtime.errors import GraftcamError, first_line
from .runtime.exit_codes import ExitCode
from .runtime.limits import RELAYED
from .runtime.plain_text import clip, plain
from .runtime.version import __version__

# What OpenCV and FFmpeg say about a broken file is part of the error's one line.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


def _exit_code(run: Callable[[], Any], *, as_json: bool) -> int:
    """Run a command line, print its error, and return the exit code."""
    print_any_letter()
    try:
        found = run()
    except click.ClickException as error:
        show_error(error, as_json=as_json)
        return error.exit_code
    except click.Abort:  # click has ended the line with the terminal's ^C
        say("Interrupted", err=True)
        return ExitCode.INTERRUPTED
    return found if isinstance(found, int) else ExitCode.DONE


@contextlib.contextmanager
def _readers_that_end() -> Generator[None]:
    """End quietly where the program that reads the output has gone."""
    try:
        yield
    except BrokenPipeError as error:
        raise click.exceptions.Exit(end_of_readers()) from error


class _Group(click.Group):
    """A group that turns the project's and the system's errors into one line and an exit code."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **more: Any,
    ) -> Any:
        """Run the command line; a signal to end it unwinds it."""
        if VARIABLE in os.environ:
            from .commands.completing import register

            register()
        run = partial(super().main, args, prog_name, complete_var, standalone_mode=False, **more)
        with ending_by_signals():
            if not standalone_mode:
                return run()
            given = sys.argv[1:] if args is None else args
            sys.exit(_exit_code(run, as_json=asks_for_json(given)))

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        """Parse the group's own options, whose help may be read by a program that ends early."""
        with _readers_that_end():
            return super().make_context(*args, **options)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Offer the commands without importing them, or the group's options."""
        from click.shell_completion import CompletionItem

        names = [
            CompletionItem(name, help=text)
            for name, text in SUMMARIES.items()
            if name.startswith(incomplete)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands as click does, without importing them."""
        limit = formatter.width - 6 - max(map(len, SUMMARIES))
        with formatter.section("Commands"):
            formatter.write_dl([
                (name, click.Command(name, help=text).get_short_help_str(limit))
                for name, text in SUMMARIES.items()
            ])  # fmt: skip

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, and turn its errors into click's."""
        try:
            with _readers_that_end():
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
            vars(failure)["exit_code"] = error.exit_code
            raise failure from error
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(plain(f"{where}{error.strerror or error}")) from error
        except Exception as error:
            # OpenCV's, of many lines; a command that does not need it has not imported it.
            if type(error).__module__ != "cv2":
                raise
            reason = " ".join(str(error).split())
            raise click.ClickException(plain(f"OpenCV failed: {clip(reason, RELAYED)}")) from error


EXIT_CODES = "\b\nExit codes:\n" + "\n".join(
    f"  {int(one):<4} {one.meaning}" for one in ExitCode
) + "\n\n"  # fmt: skip


@click.group(
    cls=_Group,
    commands=Commands(),
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES
    + example(
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
