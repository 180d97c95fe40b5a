"""A long help has sections: each option knows its heading, and the help prints them one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
_FEW = 14  # options, those of every command included: a list that one still reads as a whole
_COLUMN = 24  # characters for an option and its value; a longer one gets a line of its own
_GAP = 2  # spaces between the columns


@dataclass(frozen=True)
class Section:
    """A part of a command's help.

    Attributes:
        heading: What its options are about.
        about: What to know before the options, as a paragraph.
    """

    heading: str
    about: str = ""


RESULTS = Section("Results")
SUBJECT = Section("What to explain")
METHOD = Section("Method and layer")
MODEL = Section("The model")
INPUTS = Section("Inputs")
RUN = Section("The run")
TERMINAL = Section("On a terminal")


def group(*options: Decorator) -> Decorator:
    """Combine several options into one decorator; the help lists them in this order."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for one in reversed(options):
            command = one(command)
        return command

    return add


def under(section: Section, *options: Decorator) -> Decorator:
    """Combine options as `group` does, and put them under the heading of a section.

    A command may put options that have a section already under another one.
    """

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        before = len(_options_of(command))
        command = group(*options)(command)
        placed(section, _options_of(command)[before:])
        return command

    return add


def placed(section: Section, options: list[click.Parameter]) -> list[click.Parameter]:
    """Put options that are made already under the heading of a section; return them."""
    for one in options:
        vars(one)["section"] = section
    return options


def _options_of(function: Callable[..., Any]) -> list[click.Parameter]:
    """Return what click's decorators have added to a function so far."""
    return vars(function).get("__click_params__", [])


def sections_of(parameters: Iterable[click.Parameter]) -> dict[Section, list[click.Option]]:
    """Return a command's options by section, in the order in which it names them first.

    Few options are one section. Click's own ``--help`` is of the section `TERMINAL`.
    """
    options = [one for one in parameters if isinstance(one, click.Option)]
    if len(options) <= _FEW:
        return {Section("Options"): options}
    found: dict[Section, list[click.Option]] = {}
    for one in options:
        found.setdefault(vars(one).get("section", TERMINAL), []).append(one)
    return found


class SectionedCommand(click.Command):
    """A command whose help lists many options by section."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections, with the meanings of all options in one column."""
        sections = sections_of(self.get_params(ctx))
        if len(sections) == 1:
            super().format_options(ctx, formatter)
            return
        for section, options in sections.items():
            rows = [row for one in options if (row := one.get_help_record(ctx)) is not None]
            with formatter.section(section.heading):
                if section.about:
                    formatter.write_text(section.about)
                    formatter.write_paragraph()
                formatter.write_dl(
                    [(name.ljust(_COLUMN), meaning) for name, meaning in rows], _COLUMN, _GAP
                )
