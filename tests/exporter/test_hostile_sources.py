"""Mutated ONNX files, weights, labels, transforms and configurations are read, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hostile.corpus import corpus_of
from hostile.exporter_readers import READERS
from hostile.trial import mutant_of, trial

BY_NAME = {reader.name: reader for reader in READERS}


@pytest.mark.parametrize("name", BY_NAME)
def test_files_that_are_right_are_read(name: str, tmp_path: Path) -> None:
    for data in BY_NAME[name].files():
        assert trial(BY_NAME[name], data, tmp_path).outcome == "read"


@pytest.mark.parametrize("name", BY_NAME)
def test_mutants_are_read_or_refused(name: str, tmp_path: Path) -> None:
    reader = BY_NAME[name]
    for seed in range(40):
        found = trial(reader, mutant_of(reader, seed), tmp_path)
        assert found.right, f"seed {seed}: {found}"


@pytest.mark.parametrize(("name", "file"), corpus_of(READERS))
def test_what_once_broke_a_reader_does_not_again(name: str, file: Path, tmp_path: Path) -> None:
    found = trial(BY_NAME[name], file.read_bytes(), tmp_path)
    assert found.right, str(found)
