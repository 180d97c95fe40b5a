"""The command line, in this process."""

from __future__ import annotations

from click.testing import CliRunner, Result

from graftcam.cli import main


def call(*arguments: object) -> Result:
    """Run ``graftcam`` with arguments of any kind, such as paths and numbers."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])
