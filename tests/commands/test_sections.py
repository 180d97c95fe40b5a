"""The help of a long command has sections, and every option has its own."""

from __future__ import annotations

import click
import pytest

from graftcam.cli import main
from graftcam.commands.common import command
from graftcam.commands.sections import (
    INPUTS,
    RUN,
    TERMINAL,
    Decorator,
    Section,
    group,
    sections_of,
    under,
)
from support.cli import succeed

LONG = [name for name, one in main.commands.items() if len(sections_of(one.params)) > 1]


def options(count: int) -> list[Decorator]:
    return [click.option(f"--option-{number}", help="Text.") for number in range(count)]


def help_of(made: click.Command) -> str:
    with click.Context(made, info_name="tool", terminal_width=80) as context:
        return made.get_help(context)


def test_the_commands_of_many_options_have_sections() -> None:
    assert {"explain", "export", "serve", "evaluate", "verify", "bench"} <= set(LONG)
    assert not {"inspect", "sign", "cache"} & set(LONG)


@pytest.mark.parametrize("name", LONG)
def test_every_option_of_a_long_command_has_a_heading(name: str) -> None:
    made = main.commands[name]
    assert [one.opts for one in made.params
            if isinstance(one, click.Option) and "section" not in vars(one)] == []  # fmt: skip
    found = sections_of(made.params)
    assert len(found) < len(made.params) / 3
    assert list(found)[-1] == TERMINAL
    flags = {one.opts[-1] for one in found[TERMINAL]}
    assert flags <= {"--json", "--quiet", "--color"}


@pytest.mark.parametrize("name", LONG)
def test_the_help_has_each_option_once_under_its_heading(name: str) -> None:
    shown = succeed(name, "--help").stdout.partition("Examples:")[0]
    for section, listed in sections_of(main.commands[name].params).items():
        part = shown.partition(f"\n\n{section.heading}:\n")[2].partition("\n\n")
        text = part[2].partition("\n\n")[0] if section.about else part[0]
        for one in listed:
            assert f"\n  {', '.join(one.opts)}" in f"\n{text}", one.opts
    flags = [line.split()[0].rstrip(",") for line in shown.splitlines() if line[:3] == "  -"]
    assert len(flags) == len(set(flags))
    assert flags[-1] == "-h"


def test_the_first_screen_of_explain_says_how_to_begin() -> None:
    screen = succeed("explain", "--help").stdout.splitlines()[:30]
    for start in ("Usage: ", "  SOURCE is ", "  IMAGES are ", "  -o, --to DIR", "  --class "):
        assert any(line.startswith(start) for line in screen), start


def test_few_options_are_one_list() -> None:
    few = command("tool")(group(*options(5))(lambda: None))
    assert "\nOptions:\n  --option-0 TEXT              Text.\n" in help_of(few)
    assert TERMINAL.heading not in help_of(few)


def test_sections_come_in_the_order_in_which_they_are_named_first() -> None:
    first, second, third, *rest = options(20)
    of_inputs = under(INPUTS, second)
    about = Section("Rest", "What to know.")

    @command("tool run")
    @under(RUN, first)
    @of_inputs
    @under(RUN, under(INPUTS, third))  # the command's own choice counts
    @under(about, *rest)
    def run() -> None:
        """Run."""

    shown = help_of(run)
    places = [
        shown.index(f"\n{text}")
        for text in (
            "The run:\n  --option-0 TEXT           Text.\n  --option-2 TEXT",
            "Inputs:\n  --option-1 TEXT",
            "Rest:\n  What to know.\n\n  --option-3 TEXT",
            "On a terminal:\n  -q, --quiet               Print no progress",
            "  --help                    Show this message and exit.",
        )
    ]
    assert places == sorted(places)
