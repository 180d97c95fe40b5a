"""Mutated artifacts, images and other inputs are read, or refused in one line."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from click import UsageError
from hostile.corpus import corpus_of
from hostile.mutate import FORMS, mutant
from hostile.reader import Reader
from hostile.runtime_readers import READERS
from hostile.trial import mutant_of, trial

from graftcam.runtime.errors import InputError

BY_NAME = {reader.name: reader for reader in READERS}


@pytest.mark.parametrize("name", BY_NAME)
def test_files_that_are_right_are_read(name: str, tmp_path: Path) -> None:
    for data in BY_NAME[name].files():
        assert trial(BY_NAME[name], data, tmp_path).outcome == "read"


@pytest.mark.parametrize("name", BY_NAME)
def test_mutants_are_read_or_refused(name: str, tmp_path: Path) -> None:
    reader = BY_NAME[name]
    for seed in range(100):
        found = trial(reader, mutant_of(reader, seed), tmp_path)
        assert found.right, f"seed {seed}: {found}"


@pytest.mark.parametrize(("name", "file"), corpus_of(READERS))
def test_what_once_broke_a_reader_does_not_again(name: str, file: Path, tmp_path: Path) -> None:
    found = trial(BY_NAME[name], file.read_bytes(), tmp_path)
    assert found.right, str(found)


@pytest.mark.parametrize("form", FORMS)
def test_a_seed_decides_a_mutant(form: str) -> None:
    files = next((r for r in READERS if r.form == form), READERS[0]).files()
    made = [mutant(files[0], form, Random(seed), files) for seed in (1, 1, 2)]  # pyright: ignore
    assert made[0] == made[1] != made[2]


def _fails(error: BaseException) -> Reader:
    def read(path: Path) -> None:
        path.with_name("rest").touch()
        raise error

    return Reader("x", "bytes", ".x", lambda: [b"abc"], read, 1)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ValueError("no"), "raw exception"),
        (SystemExit(0), "raw exception"),
        (UsageError("two\nlines"), "unclear message"),
        (UsageError("\x1b[2J"), "unclear message"),
        (InputError(""), "unclear message"),
        (InputError("a clear message"), "left behind"),
    ],
)
def test_the_judge_finds_broken_promises(
    error: BaseException, outcome: str, tmp_path: Path
) -> None:
    assert trial(_fails(error), b"abc", tmp_path).outcome == outcome
    assert not list(tmp_path.iterdir())
