"""The bench's row of a verified export measures whole processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import child, subjects
from benchmarks.parts import files
from benchmarks.sections import SECTIONS
from benchmarks.subjects import Subjects

COSTS = {"load": 5.0, "torch": 10.0, "off": 12.0, "quick": 15.0, "full": 20.0}


def test_a_row_compares_verified_exports_with_pytorchs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def measured(task: str, how: str, **arguments: Any) -> dict[str, float]:
        assert (task, arguments["model"], arguments["threads"]) == ("exported", "resnet50", 2)
        asked.append(how)
        return {"s": COSTS[how], "mb": 100 * COSTS[how]}

    monkeypatch.setattr(files, "spawn", measured)
    row = files.VERIFIED[0].row(Subjects(tmp_path, 2))
    assert {how: asked.count(how) for how in COSTS} == dict.fromkeys(COSTS, 1 + row["rounds"])
    assert row["ratios"]["quick"] == [1.5] * 3
    assert row["ratios"]["full MB"] == [2.0] * 3
    section = SECTIONS["verified"]
    for _, kind, name, _ in section.columns:
        assert name in row[kind]


@pytest.mark.parametrize("how", ["load", "torch", "full"])
def test_a_process_exports_as_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    made: list[str] = []
    monkeypatch.setattr(subjects, "module", lambda _: None)
    monkeypatch.setattr(subjects, "write_artifact", lambda *_, verify: made.append(verify))
    monkeypatch.setattr("benchmarks.contract.export_plain", lambda *_: made.append("torch"))
    found = child.exported("resnet50", how, str(tmp_path / "m.onnx"), 1)
    assert made == ([] if how == "load" else [how])
    assert found["s"] > 0
    assert found["mb"] > 10
