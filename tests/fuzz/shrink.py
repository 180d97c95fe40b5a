"""Make a program smaller for as long as the same thing goes wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from .program import Program


def shrink(program: Program, same: Callable[[Program], bool], seconds: float) -> Program:
    """The smallest program found in this time of which ``same`` holds, as it does of the given one.

    Steps are left out first, then choices become 0 or smaller: the first of all choices is the
    simplest.
    """
    end = time.monotonic() + seconds
    failed = set[Program]()
    smaller = True
    while smaller:
        smaller = False
        for simpler in _simpler(program):
            if time.monotonic() > end:
                return program
            if simpler in failed:
                continue
            if same(simpler):
                program, smaller = simpler, True
                break
            failed.add(simpler)
    return program


def _simpler(program: Program) -> Iterator[Program]:
    steps = program.steps
    for place in reversed(range(len(steps))):
        yield replace(program, steps=steps[:place] + steps[place + 1 :])
    for opening in _fewer(program.opening):
        yield replace(program, opening=opening)
    for closing in _fewer(program.closing):
        yield replace(program, closing=closing)
    for place, (name, choices) in enumerate(steps):
        for fewer in _fewer(choices):
            yield replace(program, steps=(*steps[:place], (name, fewer), *steps[place + 1 :]))


def _fewer(choices: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """The choices all 0, or one of them smaller."""
    if any(choices):
        yield tuple(0 for _ in choices)
    for place, choice in enumerate(choices):
        for simpler in sorted({0, choice // 2, choice - 1}):
            if 0 <= simpler < choice:
                yield (*choices[:place], simpler, *choices[place + 1 :])
