"""This module writes the reference of the command line from click's own record of it."""

from __future__ import annotations

import html
from collections.abc import Iterator

import click

_HEAD = """\
# Command line

This page is written from the program itself: it says what `graftcam COMMAND --help` says.
`python -m graftcam` works as well as `graftcam`. Exit codes: 0 success; 1 an error, in one line;
2 wrong usage; 3 nothing is wrong, but not everything could be proven.
"""


def command_reference(main: click.Group, name: str = "graftcam") -> str:
    """Return a page in Markdown: usage, meaning, options and examples of each command.

    Args:
        main: The group of all commands.
        name: How the program is called.
    """
    context = click.Context(main, info_name=name)
    sections = [_section(*one) for one in _commands(main, context)]
    return "\n".join([_HEAD, *sections])


def _commands(
    group: click.Group, context: click.Context
) -> Iterator[tuple[click.Command, click.Context]]:
    """Yield every command, those of groups inside included, in the order of its group."""
    for name, command in group.commands.items():
        own = click.Context(command, parent=context, info_name=name)
        if isinstance(command, click.Group):
            yield from _commands(command, own)
            if not command.invoke_without_command:
                continue
        yield command, own


def _section(command: click.Command, context: click.Context) -> str:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [f"## {context.command_path}", f"```text\n{usage}\n```", _text(command.help or "")]
    rows = [one.get_help_record(context) for one in command.params]
    rows = [(option, meaning) for option, meaning in filter(None, rows)]
    if rows:
        lines = [f"| `{_cell(option)}` | {_cell(_text(meaning))} |" for option, meaning in rows]
        parts.append("\n".join(["| option | meaning |", "|---|---|", *lines]))
    shown = _examples(command)
    if shown:
        parts.append(f"```sh\n{shown}\n```")
    return "\n\n".join(parts) + "\n"


def _text(text: str) -> str:
    """Return help as Markdown: what is markup there is none here, except `code`."""
    pieces = text.replace("\b\n", "").split("`")
    plain = [html.escape(one, quote=False).replace("*", r"\*") for one in pieces[::2]]
    code = [f"`{one}`" for one in pieces[1::2]]
    return "".join(part for pair in zip(plain, [*code, ""], strict=False) for part in pair)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def _examples(command: click.Command) -> str:
    """Return the commands to copy of a help's end, one on each line."""
    lines = (command.epilog or "").partition("Examples:\n")[2].splitlines()
    return "\n".join(line.removeprefix("  ") for line in lines)
