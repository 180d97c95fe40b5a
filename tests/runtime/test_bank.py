"""Banks of texts: how they are made, stored, read back, and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graftcam.runtime import Bank, make_bank
from graftcam.runtime.errors import InputError
from graftcam.runtime.inputs.bank import read_bank, unit
from graftcam.runtime.inputs.prompts import Prompts
from graftcam.runtime.settings import Similarity

NAMES = ["dog", "Cat", "eel"]
VECTORS = np.random.default_rng(0).standard_normal((3, 8)).astype(np.float32) * 7


def embed(texts: list[str]) -> np.ndarray:
    """A vector for each text, that of its letters' counts."""
    return np.array([[text.count(c) + 0.5 for c in "adcegloph"] for text in texts], np.float32)


def directions(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.sqrt((vectors**2).sum(axis=1, keepdims=True))


def test_vectors_have_length_one_and_are_stored_as_they_are(tmp_path: Path) -> None:
    bank = Bank(NAMES, VECTORS, scale=20.0, bias=-3.0, text_encoder="a" * 64)
    np.testing.assert_allclose(bank.vectors, directions(VECTORS), rtol=1e-6)
    path = bank.write(tmp_path / "bank.npz")
    found = read_bank(path)
    assert (found.names, found.templates) == (NAMES, ["{}"])
    assert (found.scale, found.bias, found.text_encoder) == (20.0, -3.0, "a" * 64)
    np.testing.assert_array_equal(found.vectors, bank.vectors)
    assert found.sha256 == bank.sha256
    again = found.write(tmp_path / "again.npz")
    assert again.read_bytes() == path.read_bytes()
    assert read_bank(bank) is bank


def test_sentences_are_averaged_after_each_has_length_one() -> None:
    templates = ["a {}", "the large {}"]
    bank = make_bank(embed, ["dog", "cat", "dog "], templates)
    assert (bank.names, bank.templates) == (["dog", "cat"], templates)
    single = directions(embed(["a dog", "the large dog"]).astype(np.float64))
    expected = directions(single.mean(axis=0, keepdims=True))[0]
    np.testing.assert_allclose(bank.vectors[0], expected, rtol=1e-6)
    plain = make_bank(embed, ["dog"]).vectors
    np.testing.assert_allclose(plain, directions(embed(["dog"])), rtol=1e-6)


def test_many_texts_are_encoded_in_parts() -> None:
    sizes: list[int] = []

    def counting(texts: list[str]) -> np.ndarray:
        sizes.append(len(texts))
        return embed(texts)

    names = [f"d{'o' * number}g" for number in range(150)]
    bank = make_bank(counting, names)
    assert max(sizes) <= 64
    np.testing.assert_allclose(bank.vectors, directions(embed(names)), rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), "no prompts; give one name or more"),
        ((["dog", " "],), "a prompt is empty"),
        ((["dog"], ["a photo"]), "template 'a photo' has 0 places"),
        ((["dog"], ["{} {}"]), "has 2 places for a name"),
    ],
)
def test_names_and_templates_that_mean_nothing_are_refused(
    arguments: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make_bank(embed, *arguments)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.ones((2, 8)), r"a bank of 3 names has vectors float64 \[2, 8\]"),
        (np.ones((3, 2, 2)), r"give numbers \[3, width\]"),
        (np.ones((3, 8), np.bool_), "vectors bool"),
        (np.vstack([np.ones((2, 8)), np.zeros((1, 8))]), "'eel' has length 0: no direction"),
        (np.full((3, 8), np.nan), "'dog' has length nan"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(vectors: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Bank(NAMES, vectors)
    with pytest.raises(InputError, match="'dog' is given twice"):
        Bank(["dog", "dog", "eel"], VECTORS)


def test_an_encoder_that_gives_no_embeddings_is_refused() -> None:
    with pytest.raises(InputError, match=r"gives float32 \[3\] for 1 texts"):
        make_bank(lambda texts: np.ones(3, np.float32), ["dog"])


def test_an_encoder_that_does_not_read_its_texts_is_refused() -> None:
    """Such as one that PyTorch exported with one tensor as the example of two inputs."""
    with pytest.raises(InputError, match="gives all 2 prompts the same embedding"):
        make_bank(lambda texts: np.ones((len(texts), 4), np.float32), ["dog", "cat"])
    assert len(make_bank(lambda texts: np.ones((1, 4), np.float32), ["dog"]).names) == 1


def _entries(path: Path, record: object, vectors: Any = VECTORS) -> Path:
    text = np.frombuffer(json.dumps(record).encode(), np.uint8)
    np.savez(path, vectors=vectors, record=text)
    return path


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"names": NAMES}, "missing fields"),
        ({"names": NAMES, "templates": [], "more": 1}, "unknown fields"),
        ({"names": [], "templates": []}, "names"),
        ({"names": NAMES[:2], "templates": []}, r"a bank of 2 names has vectors float32 \[3, 8\]"),
        ({"names": NAMES, "templates": [], "scale": 0.0}, "scale"),
        ({"names": NAMES, "templates": [], "text_encoder": "me"}, "text_encoder"),
        ("text", "expected an object"),
    ],
)
def test_files_that_are_no_banks_are_refused(tmp_path: Path, record: object, message: str) -> None:
    path = _entries(tmp_path / "bank.npz", record)
    with pytest.raises(InputError, match=message) as caught:
        read_bank(path)
    assert "bank.npz" in str(caught.value)
    assert "graftcam prompts" in str(caught.value)


def test_other_files_are_no_banks(tmp_path: Path) -> None:
    path = tmp_path / "bank.npz"
    with pytest.raises(InputError, match=r"cannot read .*bank.npz"):
        read_bank(path)
    path.write_text("dog\ncat\n")
    with pytest.raises(InputError, match="is no archive of arrays"):
        read_bank(path)
    np.savez(path, a=VECTORS, b=VECTORS)
    with pytest.raises(InputError, match="is no bank of prompts; make one with"):
        read_bank(path)
    np.savez(path, vectors=VECTORS, record=VECTORS)
    with pytest.raises(InputError, match="its record is no text"):
        read_bank(path)
    with pytest.raises(InputError, match=r"call it names.npz"):
        read_bank(tmp_path / "names.txt")
    with pytest.raises(InputError, match=r"call it bank.npz"):
        Bank(NAMES, VECTORS).write(tmp_path / "bank.json")


def test_names_are_found_in_any_case_and_the_nearest_is_named() -> None:
    bank = Bank(["dog", "Dog", "eel"], VECTORS)
    assert bank.rows(["EEL", "Dog", "dog", "DOG "]) == [2, 1, 0, 0]
    with pytest.raises(InputError, match=r"the bank has no 'dogs'; .* such as 'dog'"):
        bank.rows(["dogs"])


def test_probabilities_are_over_the_whole_bank() -> None:
    bank, image = Bank(NAMES, VECTORS), np.random.default_rng(1).standard_normal(8)
    how = Similarity("embedding", 8, 20.0, -3.0)
    scores = 20 * directions(VECTORS.astype(np.float64)) @ image / np.linalg.norm(image) - 3
    powers = np.exp(scores)
    soft = Prompts(bank, [1], 1, how, "softmax").probabilities(image)
    np.testing.assert_allclose(soft, powers / powers.sum(), rtol=1e-5)
    alone = Prompts(bank, [1], 1, how, "sigmoid").probabilities(image)
    np.testing.assert_allclose(alone, 1 / (1 + np.exp(-scores)), rtol=1e-5)
    single = Bank(["dog"], VECTORS[:1])
    assert Prompts(single, [0], 1, how, "softmax").probabilities(image) is None
    assert Prompts(single, [0], 1, how, "sigmoid").probabilities(image) is not None


def test_zeros_have_no_direction() -> None:
    np.testing.assert_array_equal(unit(np.zeros((2, 3))), np.zeros((2, 3)))
    assert unit(np.array([[3, 4]])).dtype == np.float32
