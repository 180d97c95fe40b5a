"""This module writes the reference of the command line from click's own record of it."""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Iterator

import click

from graftcam.commands.sections import sections_of

_LEFT = re.compile(r"((?:--?[\w-]+(?:, | / )?)+) ?(.*)")
_HEAD = """\
# Command line

This page is written from the program itself: it says what `graftcam COMMAND --help` says.
`python -m graftcam` works as well as `graftcam`. [On a terminal](../terminal.md) has the exit
codes, shell completion, and what `--json`, `--quiet` and `--color` do.
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
    sections = sections_of(command.params)
    for section, options in sections.items():
        rows = [_row(*record) for one in options if (record := one.get_help_record(context))]
        if len(sections) > 1:
            parts += [f"**{section.heading}**", *filter(None, [_text(section.about)])]
        if rows:
            parts.append("\n".join(["| option | value | meaning |", "|---|---|---|", *rows]))
    shown = _examples(command)
    if shown:
        parts.append(f"```sh\n{shown}\n```")
    return "\n\n".join(parts) + "\n"


def _row(left: str, meaning: str) -> str:
    """Return a row: the option's names, each in one piece, what it takes, and its help."""
    match = _LEFT.fullmatch(left)
    assert match is not None
    names, value = match.groups()
    # In a table Python-Markdown takes a bar inside code as it is.
    flags = " / ".join(f"`{one}`{{.flag}}" for one in names.split(" / "))
    cells = [flags, f"`{value}`" if value else "", _text(meaning, bar=r"\|")]
    return f"| {' | '.join(cells)} |"


def _text(text: str, bar: str = "|") -> str:
    """Return help as Markdown, in which nothing but `code` is markup."""
    pieces = inspect.cleandoc(text.replace("\b\n", "")).split("`")
    plain = [html.escape(one, quote=False).replace("*", r"\*") for one in pieces[::2]]
    plain = [one.replace("|", bar) for one in plain]
    code = [f"`{one}`" for one in pieces[1::2]]
    return "".join(part for pair in zip(plain, [*code, ""], strict=False) for part in pair)


def _examples(command: click.Command) -> str:
    """Return the commands to copy of a help's end, one on each line."""
    lines = (command.epilog or "").partition("Examples:\n")[2].splitlines()
    return "\n".join(line.removeprefix("  ") for line in lines)
