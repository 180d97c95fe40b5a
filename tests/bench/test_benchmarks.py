"""The bench's results: rows are stored, never mixed, and compared beyond their spread."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks import run
from benchmarks.book import Book, MixError, mark, other_processors, read
from benchmarks.changes import changes
from benchmarks.floor_tables import TITLES, floor_tables
from benchmarks.parts import CASES
from benchmarks.parts.part import Case
from benchmarks.script import options, table
from benchmarks.subjects import FLOOR
from benchmarks.targets import missed
from graftcam.runtime.tools.bench.floor.floor import CAUSES

MACHINE = {"cpu": "A", "threads": 2, "versions": {"onnxruntime": "1.31"}}
KEY = "size/resnet50/auto/1"


def _book(folder: Path, **differing: Any) -> Book:
    setting = {"machine": MACHINE, "code": "one", "quick": False} | differing
    return Book(folder / "benchmarks.json", load=0.1, **setting)


def _row(low: float, median: float, high: float) -> dict[str, Any]:
    return {"model": "resnet50", "layer": "layer4", "ratios": {"artifact": [low, median, high]}}


def _written(folder: Path, *spread: float) -> Book:
    book = _book(folder)
    book.add(KEY, _row(*spread), others=0.0)
    return book


def test_a_row_is_stored_as_soon_as_it_is_measured(tmp_path: Path):
    _written(tmp_path, 1, 1, 1)
    book = _book(tmp_path)
    book.open(fresh=False, whole=False)
    assert book.current(KEY)


@pytest.mark.parametrize(
    ("measured", "requested", "done"),
    [
        ({"code": "other"}, {}, False),
        ({"quick": True}, {}, False),
        ({"quick": True}, {"quick": True}, True),
        ({}, {"quick": True}, True),
    ],
)
def test_rows_of_other_code_or_few_rounds_are_measured_again(
    tmp_path: Path, measured: dict[str, Any], requested: dict[str, Any], done: bool
):
    _book(tmp_path, **measured).add(KEY, _row(1, 1, 1), others=0.0)
    book = _book(tmp_path, **requested)
    book.open(fresh=False, whole=False)
    assert book.current(KEY) is done


@pytest.mark.parametrize(
    ("differing", "words"),
    [
        ({**MACHINE, "threads": 4}, "threads 2 -> 4"),
        ({**MACHINE, "versions": {"onnxruntime": "1.32"}}, "onnxruntime 1.31 -> 1.32"),
    ],
)
def test_settings_are_not_mixed(tmp_path: Path, differing: dict[str, Any], words: str):
    _written(tmp_path, 1, 1, 1)
    book = _book(tmp_path, machine=differing)
    with pytest.raises(MixError, match=f"{words}.*--fresh"):
        book.open(fresh=False, whole=False)
    assert words in book.open(fresh=False, whole=True)
    assert not book.rows


def test_rows_of_another_processor_stay_and_new_ones_name_theirs(tmp_path: Path):
    _written(tmp_path, 1, 1, 1)
    book = _book(tmp_path, machine={**MACHINE, "cpu": "B"})
    assert "1 rows" in book.open(fresh=False, whole=True)
    book.add("size/vgg16/auto/1", _row(1, 1, 1), others=0.0)
    stored = read(book.path)
    assert stored is not None
    assert stored["machine"] == MACHINE
    assert [row.get("cpu") for row in stored["rows"]] == [None, "B"]
    assert [mark(row, "one") for row in stored["rows"]] == ["", " ‡"]
    assert other_processors(stored["rows"]).endswith("1 on B.")


def test_a_file_of_another_format_is_no_result(tmp_path: Path):
    path = tmp_path / "benchmarks.json"
    path.write_text('{"results": []}')
    assert read(path) is None


@pytest.mark.parametrize(
    ("now", "shown"),
    [((1.2, 1.3, 1.4), True), ((1.0, 1.15, 1.4), False), ((1.1003, 1.1004, 1.1005), False)],
)
def test_changes_are_those_beyond_the_spread(tmp_path: Path, now: tuple[float, ...], shown: bool):
    _written(tmp_path, 1.0, 1.1, 1.1)
    before = read(tmp_path / "benchmarks.json")
    lines = changes(_written(tmp_path, *now), before)
    assert any("resnet50" in line for line in lines) is shown


def test_changes_between_machines_are_not_shown_and_between_versions_are(tmp_path: Path):
    _written(tmp_path, 1, 1, 1)
    before = read(tmp_path / "benchmarks.json")
    book = _written(tmp_path, 2, 2, 2)
    other = changes(book, before | {"machine": MACHINE | {"cpu": "B"}})
    assert other == ["Not compared with the earlier run, since the setting differs: cpu B -> A."]
    newer = changes(book, before | {"machine": MACHINE | {"versions": {"onnxruntime": "1.30"}}})
    assert "onnxruntime 1.30 -> 1.31" in newer[0]
    assert len(newer) == 5


def test_a_disturbed_row_is_measured_again_and_the_quieter_one_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disturbed = iter([0.3, 0.2, 0.4, 0.05])
    watch = type("Loud", (), {"others": lambda _: next(disturbed)})
    monkeypatch.setattr(run, "Watch", watch)
    figures = iter(range(9))
    case = Case("size", lambda *_: {"ratios": {"artifact": [next(figures)] * 3}}, 1)
    book = _book(tmp_path)
    run._quietest(case, cast(Any, None), book)
    assert book.rows[case.key]["others"] == 0.2
    assert book.rows[case.key]["ratios"]["artifact"][1] == 1
    run._quietest(case, cast(Any, None), book)
    assert book.rows[case.key]["others"] == 0.05
    assert next(figures) == 4


def test_a_target_is_missed_by_the_median():
    assert missed("size", _row(1.0, 1.02, 1.5)) == []
    assert missed("size", _row(1.0, 1.03, 1.5)) == ["artifact"]


def _floor_row(group: str, extra: float) -> dict[str, Any]:
    part = {"nodes": 3, "mb": 30.0, "share": 0.5}
    floor = {
        "parts": {
            "above": part | {"ms": 4.0, "mmac": 100.0},
            "added": part | {"ms": 6.0, "mmac": 50.0, "share": None},
        },
        "gmac_per_s": 50.0, "at_peak_ms": 1.0, "gap_ms": {"masks": 3.0, "other": 2.0},
        "notes": ["1 of them"],
    }  # fmt: skip
    ratios = {"explained": [extra] * 3}
    return {"model": "a", "layer": "b", "group": group, "ratios": ratios, "floor": floor}


@pytest.mark.parametrize(
    ("group", "reached", "missed_at"),
    [("convolutions", 1.15, 1.16), ("light", 1.5, 1.51), ("dense and tokens", 1.3, 1.31)],
)
def test_each_kind_of_network_has_a_target_of_its_own(
    group: str, reached: float, missed_at: float
) -> None:
    assert missed("floor", _floor_row(group, reached)) == []
    assert missed("floor", _floor_row(group, missed_at)) == ["explained"]


def test_the_last_block_of_a_vit_has_a_target_of_its_own() -> None:
    row = {"linear_head": False, "ratios": {"explained": [1, 1.05, 1.1]}}
    assert missed("last", row | {"model": "vit_b_16"}) == []
    assert missed("last", row | {"model": "swin_t"}) == ["explained"]


def test_every_measured_layer_belongs_to_a_kind_that_has_a_target() -> None:
    cases = [case for case in CASES if case.part == "floor"]
    assert len(cases) == len({case.key for case in cases}) == 14
    for group in FLOOR:
        assert missed("floor", _floor_row(group, 9)) == ["explained"]


def test_the_floors_tables_show_work_and_what_is_above_it() -> None:
    lines = floor_tables(lambda row: row["model"])([_floor_row("light", 1)])
    work, gap = (line for line in lines if line.startswith("| a |"))
    assert work == "| a | 100.0 | 50.0 | 0.50 | 30.0 | 30.0 | 50% |  | 50.0 |"
    # At the forward's pace: half of the multiplications, so half of its time.
    assert gap == "| a | 1.00 | 2.00 | 6.00 | 3.00 | 0.00 | 0.00 | 0.00 | 0.00 | 0.00 | 2.00 |"
    assert lines[-1] == "- a: 1 of them"
    assert set(TITLES) == set(CAUSES)


def test_an_unknown_model_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["", "--models", "resnet5", "--docs", str(tmp_path)])
    assert run.main() == 2
    assert "unknown models ['resnet5']; there are resnet50, " in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_option_has_the_type_of_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = {"rounds": (3, ""), "actors": ([1, 2], ""), "docs": (Path("docs"), ""),
                "quick": (False, "")}  # fmt: skip
    monkeypatch.setattr("sys.argv", ["", "m.onnx", "--actors", "4", "8", "--docs", "a", "--quick"])
    found = vars(options(None, "model", **defaults))
    assert found == {
        "model": Path("m.onnx"), "rounds": 3, "actors": [4, 8], "docs": Path("a"), "quick": True,
    }  # fmt: skip


def test_a_table_keeps_a_first_column_without_a_title() -> None:
    assert table(["", "ratio"], [["a", "1"]]) == ["| | ratio |", "|---|---|", "| a | 1 |"]
