"""The command line, in this process."""

from __future__ import annotations

from click.testing import CliRunner, Result

from graftcam.cli import main


def call(*arguments: object) -> Result:
    """Run ``graftcam`` with arguments of any kind, such as paths and numbers."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def succeed(*arguments: object) -> Result:
    """Run a command that must succeed."""
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return result


def fail(*arguments: object, code: int = 1) -> str:
    """Run a command that must fail with this exit code; what it says on stderr."""
    result = call(*arguments)
    assert result.exit_code == code, result.output
    return result.stderr


def refuse(*arguments: object) -> str:
    """Run a command that must be refused in one line, beside what it was doing; that line."""
    lines = [line for line in fail(*arguments).splitlines() if " ... " not in line]
    assert len(lines) == 1, lines
    assert lines[0].startswith("Error: ")
    return lines[0]
