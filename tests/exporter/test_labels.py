"""Class names in the forms that people keep them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from graftcam.exporter import CaptureError
from graftcam.exporter.source.labels import as_labels, own_labels, read_labels

FILES: dict[str, tuple[str, str]] = {
    "lines": ("a.txt", "cat\n\ndog \n"),
    "from Windows": ("a.txt", "\ufeffcat\r\ndog\r\n\r\n"),
    "numbered lines": ("a.txt", "1 dog\n0 cat\n"),
    "from one": ("a.txt", "1: cat\n2: dog\n"),
    "a table": ("a.csv", "id,name\n0,cat\n1,dog\n"),
    "names first": ("a.csv", "name;id\ncat;0\ndog;1\n"),
    "tabs and synsets": ("a.tsv", "0\tn02123045\tcat\n1\tn02084071\tdog\n"),
    "a list": ("a.json", '["cat", "dog"]'),
    "by number": ("a.json", '{"1": "dog", "0": "cat"}'),
    "by name": ("a.json", '{"dog": 1, "cat": 0}'),
    "of Keras": ("a.json", '{"0": ["n02123045", "cat"], "1": ["n02084071", "dog"]}'),
    "of a model": ("config.json", '{"model_type": "vit", "id2label": {"0": "cat", "1": "dog"}}'),
    "records": ("a.json", '[{"id": 1, "name": "dog"}, {"id": 0, "name": "cat"}]'),
}


@pytest.mark.parametrize(("name", "text"), FILES.values(), ids=FILES)
def test_a_file_of_any_form_is_read(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode())
    assert read_labels(path) == ["cat", "dog"]
    assert as_labels(str(path)) == ["cat", "dog"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("7 up\n3 musketeers\n", ["7 up", "3 musketeers"]),
        ("0\n1\n2\n", ["0", "1", "2"]),
        ("n01440764 tench\nn01443537 goldfish\n", ["n01440764 tench", "n01443537 goldfish"]),
        ('0,"great white shark, man-eater"\n1,ray\n', ["great white shark, man-eater", "ray"]),
        ("0,goldfish, Carassius\n1,ray\n", ["goldfish, Carassius", "ray"]),
        ("goldfish, Carassius\nray\n", ["goldfish, Carassius", "ray"]),
        ("crane\ncrane\n", ["crane", "crane"]),
    ],
)
def test_numbers_and_commas_that_belong_to_names_stay(
    text: str, names: list[str], tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text(text)
    assert read_labels(tmp_path / "a.txt") == names


def test_dicts_are_labels() -> None:
    assert as_labels({0: "cat", 1: "dog"}) == as_labels({"dog": 1, "cat": 0}) == ["cat", "dog"]


REFUSED: dict[str, tuple[Any, str]] = {
    "a gap": ({0: "cat", 3: "dog"}, "no name for 1, 2, of the numbers 0 to 3"),
    "twins": ({"cat": 0, "dog": 0}, "one number to several names"),
    "neither": ({"cat": "dog"}, "names by number, {0: 'cat'}, or numbers by name"),
    "numbers": ([1, 2], "takes a list of names"),
    "no file": (Path("none.txt"), "cannot read labels from none.txt: No such file"),
}


@pytest.mark.parametrize(("value", "message"), REFUSED.values(), ids=REFUSED)
def test_other_labels_are_refused(value: Any, message: str) -> None:
    with pytest.raises(CaptureError, match=message):
        as_labels(value)


def test_a_file_with_a_gap_or_of_another_encoding_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("0,cat\n2,dog\n")
    with pytest.raises(CaptureError, match=r"a\.csv: the labels have no name for 1,"):
        read_labels(tmp_path / "a.csv")
    (tmp_path / "b.txt").write_bytes("caf\xe9".encode("latin-1"))
    with pytest.raises(CaptureError, match="no UTF-8 text"):
        read_labels(tmp_path / "b.txt")


@pytest.mark.parametrize(
    "text",
    ["{", "5", "null", "[[]]", '[{"id": 1}]', '{"a": NaN}', '{"0": "a", "0": "b"}', "[" * 5000],
)
def test_json_that_holds_no_labels_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(CaptureError, match=r"cannot read labels from .*a\.json: ") as caught:
        read_labels(tmp_path / "a.json")
    assert "\n" not in str(caught.value)


HOSTILE: dict[str, tuple[str, str, str]] = {
    "a gap of a billion billions": ("a.csv", "0,cat\n1000000000000000000,dog\n",
                                    "for 1, 2, 3, 4, 5 and 999999999999999994 more"),
    "below 0": ("a.json", '{"cat": -1, "dog": 0}', "a name for -1; count classes from 0"),
    "very many": ("a.txt", "a\n" * 300_000, "it has 300,000 names, and 262,144 are the most"),
    "very many numbers": ("a.json", str([0] * 300_000), "it has 300,000 names"),
    "a very long one": ("a.txt", "x," * 10**6, "has 2,000,000 characters, and 1,000 are the most"),
    "tabs": ("a.txt", "\t".join("x" * 400_000), "characters, and 1,000 are the most"),
    "a field too long for csv": ("a.txt", f'1,"{"x" * 200_000}"', "characters"),
    "a number of many digits": ("a.txt", "cat," + "9" * 5000, "characters"),
    "very deep": ("a.json", "[" * 100_000 + "]" * 100_000, "deep"),
    "half of a pair": ("a.json", '["\\ud800"]', "surrogates not allowed|half"),
    "very large": ("a.txt", "x" * (1 << 24) + "\n", "it has 16.8 MB, and at most 16.8 MB are read"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "text", "message"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_refused_at_once(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(CaptureError, match=message):
        read_labels(tmp_path / name)


def test_lines_that_look_nearly_like_a_table_are_read_in_linear_time(tmp_path: Path) -> None:
    line = "x" + "\t" * 900 + "y"
    (tmp_path / "a.txt").write_text("".join(f"{line}{number},{number}\n" for number in range(2000)))
    assert len(read_labels(tmp_path / "a.txt")) == 2000


def test_names_that_a_module_carries() -> None:
    def module(names: Any) -> Any:
        return SimpleNamespace(config=SimpleNamespace(id2label=names))

    assert own_labels(module({0: "cat", 1: "dog"}), 2) == ["cat", "dog"]
    assert own_labels(module({0: "cat", 1: "dog"}), 3) is None  # of another head
    assert own_labels(module({0: "LABEL_0", 1: "LABEL_1"}), 2) is None
    assert own_labels(module({0: "cat", 7: "dog"}), 2) is None
    assert own_labels(module(None), 2) is own_labels(object(), 2) is None
