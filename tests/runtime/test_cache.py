"""The cache of artifacts: whole entries, broken ones, two processes, a folder with other files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from graftcam.runtime.cache import Cache, cache_folder, key_of
from graftcam.runtime.errors import CacheError

KEY = key_of({"name": "a"})


def writing(text: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "m.head.onnx").write_text("head")
        (folder / "m.onnx").write_text(text)
        return folder / "m.onnx"

    return make


def refused(folder: Path) -> Path:
    raise AssertionError(f"{folder} is made again")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def test_the_folder_is_that_of_the_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFTCAM_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.setenv("GRAFTCAM_CACHE", "")
    assert cache_folder() == tmp_path / "xdg" / "graftcam"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / "home" / ".cache" / "graftcam"
    assert not any(tmp_path.iterdir())


def test_keys_differ_where_a_part_does() -> None:
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})
    assert len({key_of({"a": 1}), key_of({"a": "1"}), key_of({"b": 1})}) == 3


def test_an_artifact_is_found_with_the_files_beside_it(cache: Cache) -> None:
    assert cache.find(KEY) is None
    assert cache.entries() == []
    made = cache.add(KEY, "plain.onnx", writing("graph"))
    assert cache.find(KEY) == made
    assert made.path.read_text() == "graph"
    assert made.path.with_name("m.head.onnx").read_text() == "head"
    assert cache.find(key_of({})) is None
    assert [entry.source for entry in cache.entries()] == ["plain.onnx"]
    assert made.bytes == sum(one.stat().st_size for one in made.path.parent.iterdir())


@pytest.mark.parametrize("name", ["m.onnx", "m.head.onnx", "entry.json"])
@pytest.mark.parametrize("content", [None, b"", b"gravh"])
def test_a_broken_entry_is_none_and_is_replaced(
    cache: Cache, name: str, content: bytes | None
) -> None:
    file = cache.add(KEY, "plain.onnx", writing("graph")).path.with_name(name)
    file.unlink() if content is None else file.write_bytes(content)
    assert cache.find(KEY) is None
    assert cache.add(KEY, "plain.onnx", writing("again")).path.read_text() == "again"
    assert [one.name for one in cache.folder.iterdir()] == [KEY]


@pytest.mark.parametrize("artifact", ["../m.onnx", "/m.onnx", "other.onnx"])
def test_a_record_names_no_file_outside_of_its_entry(cache: Cache, artifact: str) -> None:
    made = cache.add(KEY, "plain.onnx", writing("graph"))
    record = made.path.with_name("entry.json")
    data = json.loads(record.read_text())
    record.write_text(json.dumps({**data, "artifact": artifact}))
    assert cache.find(KEY) is None


def test_of_two_processes_the_faster_one_wins(cache: Cache) -> None:
    def slower(folder: Path) -> Path:
        cache.add(KEY, "plain.onnx", writing("first"))
        return writing("second")(folder)

    assert cache.add(KEY, "plain.onnx", slower).path.read_text() == "first"
    assert [one.name for one in cache.folder.iterdir()] == [KEY]


def test_a_failure_leaves_nothing(cache: Cache) -> None:
    def failing(folder: Path) -> Path:
        writing("half")(folder)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.add(KEY, "plain.onnx", failing)
    assert list(cache.folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "cache")
    message = r"cannot write the cache .*file is no folder; set GRAFTCAM_CACHE to"
    with pytest.raises(CacheError, match=message):
        cache.add(KEY, "plain.onnx", refused)
    assert cache.entries() == []


def test_only_entries_are_removed(cache: Cache) -> None:
    assert cache.clear() == (0, 0)
    made = cache.add(KEY, "plain.onnx", writing("graph"))
    broken = cache.add(key_of({}), "plain.onnx", writing("graph")).path
    broken.with_name("entry.json").unlink()
    (cache.folder / "photo.jpg").write_text("")
    (cache.folder / "photos").mkdir()
    count, size = cache.clear()
    assert (count, size > made.bytes) == (2, True)
    assert sorted(one.name for one in cache.folder.iterdir()) == ["photo.jpg", "photos"]
