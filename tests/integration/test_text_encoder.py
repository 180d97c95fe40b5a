"""Text encoders: an ONNX file and its tokenizer make the embeddings of texts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graftcam.runtime import TextEncoder, make_bank
from graftcam.runtime.errors import InputError
from graftcam.runtime.inputs.text_encoder import encoder_sha256
from support.clip_models import TOKENS, ClipText, clip_model, write_text_encoder, write_tokenizer
from support.onnx_bytes import onnx_model

tokenizers: Any = pytest.importorskip("tokenizers")
TABLE = np.random.default_rng(0).standard_normal((64, 6)).astype(np.float32)
BAG = """<ir_version: 8, opset_import: ["" : 18]>
    bag ({kind}[{batch}, {length}] {ids}, {kind}[{batch}, {length}] attention_mask)
     => (float[{batch}, 6] text_embeds, float[{batch}, {length}, 6] tokens)
    {{
        rows = Gather({ids}, table_of)
        weights = Cast <to = 1> (attention_mask)
        column = Unsqueeze(weights, last)
        tokens = Mul(rows, column)
        text_embeds = ReduceSum <keepdims = 0> (tokens, middle)
    }}"""


def bag(path: Path, kind: str = "int64", batch: str = "N", length: str = "L",
        ids: str = "input_ids") -> Path:  # fmt: skip
    """A bag of words as an ONNX file: the sum of its tokens' vectors."""
    text = BAG.format(kind=kind, batch=batch, length=length, ids=ids)
    text = text.replace(f"Gather({ids}, table_of)", f"Gather(table, {ids})")
    constants = {"table": TABLE, "last": np.array([2]), "middle": np.array([1])}
    path.write_bytes(onnx_model(text, constants))
    return path


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokenizer(tmp_path_factory.mktemp("tokens") / "tokenizer.json")


def counted(tokenizer: Path, text: str) -> np.ndarray:
    """The sum of the tokens' vectors, anew."""
    ids = tokenizers.Tokenizer.from_file(str(tokenizer)).encode(text).ids
    return TABLE[ids].sum(axis=0)


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"length": "16"},
        {"batch": "2", "length": "16"},
        {"kind": "int32"},
    ],
    ids=str,
)
def test_texts_of_several_lengths_are_encoded_each_as_alone(
    tmp_path: Path, tokenizer: Path, form: dict[str, str]
) -> None:
    encoder = TextEncoder(bag(tmp_path / "bag.onnx", **form), tokenizer)
    assert encoder.length == (16 if "length" in form else None)
    assert encoder.limit == TOKENS
    texts = ["a photo of the dog", "cat", "dog", "a small red eel on the green", "cat"]
    expected = np.stack([counted(tokenizer, text) for text in texts])
    found = encoder(texts)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_text_is_padded_to_a_length_that_is_asked_for(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json", limit=None)
    encoder = TextEncoder(bag(tmp_path / "bag.onnx"), path)
    assert (encoder.length, encoder.limit) == (None, None)
    padded = TextEncoder(encoder.path, path, length=12)
    assert (padded.length, padded.limit) == (12, 12)
    np.testing.assert_allclose(padded(["a dog"]), encoder(["a dog"]), rtol=1e-5)
    with pytest.raises(InputError, match=r"has \d+ tokens, and the text encoder takes 12"):
        padded(["a photo of the dog and a drawing of the cat and the eel on the green"])
    with pytest.raises(InputError, match="takes 16 tokens a text, not 12"):
        TextEncoder(bag(tmp_path / "fixed.onnx", length="16"), path, length=12)


def test_the_token_that_fills_a_text_up_is_named_where_the_tokenizer_has_several(
    tmp_path: Path,
) -> None:
    reader = tokenizers.Tokenizer.from_file(str(write_tokenizer(tmp_path / "one.json")))
    reader.add_special_tokens(["</s>"])
    reader.save(str(tmp_path / "two.json"))
    path = two(tmp_path / "sum.onnx", "float[N, 6] one")  # it counts every token

    def expected(pad: int) -> np.ndarray:
        ids = reader.encode("dog").ids
        return TABLE[[*ids, *[pad] * (8 - len(ids))]].sum(axis=0)

    only = TextEncoder(path, tmp_path / "one.json", length=8)
    np.testing.assert_allclose(only(["dog"])[0], expected(0), rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match=r"several could: <pad>, </s>.* name it .--pad."):
        TextEncoder(path, tmp_path / "two.json", length=8)
    end = reader.token_to_id("<end>")
    named = TextEncoder(path, tmp_path / "two.json", length=8, pad="<end>")
    np.testing.assert_allclose(named(["dog"])[0], expected(end), rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="has no token '<none>' to pad with"):
        TextEncoder(path, tmp_path / "two.json", length=8, pad="<none>")
    reader.enable_padding(pad_id=end, pad_token="<end>", length=8)
    reader.save(str(tmp_path / "says.json"))
    says = TextEncoder(path, tmp_path / "says.json")
    assert (says.length, says.limit) == (8, 8)
    np.testing.assert_allclose(says(["dog"])[0], expected(end), rtol=1e-4, atol=1e-5)


def test_a_prompt_that_is_too_long_is_refused_not_cut(tmp_path: Path, tokenizer: Path) -> None:
    encoder = TextEncoder(bag(tmp_path / "bag.onnx"), tokenizer)
    long = "a photo of a dog and a red cat and a green eel and a dog"
    with pytest.raises(InputError) as caught:
        make_bank(encoder, ["dog", long])
    said = str(caught.value)
    assert "prompt 'a photo of a dog and a red cat and a ...' has 18 tokens" in said
    assert "takes 16; write a shorter one" in said
    assert "\n" not in said


def test_a_bank_knows_the_encoder_that_made_it(tmp_path: Path, tokenizer: Path) -> None:
    path = bag(tmp_path / "bag.onnx")
    encoder = TextEncoder(path, tokenizer)
    bank = make_bank(encoder, ["dog", "cat"], ["a photo of the {}"])
    assert bank.text_encoder == encoder.sha256 == encoder_sha256(path)
    assert encoder_sha256(bag(tmp_path / "other.onnx", kind="int32")) != encoder.sha256
    expected = counted(tokenizer, "a photo of the dog")
    np.testing.assert_allclose(bank.vectors[0], expected / np.linalg.norm(expected), rtol=1e-5)


def test_the_text_half_of_clip_gives_its_own_embeddings(tmp_path: Path, tokenizer: Path) -> None:
    model = clip_model()
    path = write_text_encoder(tmp_path / "text.onnx", ClipText(model))
    reader = tokenizers.Tokenizer.from_file(str(tokenizer))
    texts = ["a photo of the dog", "cat"]
    found = TextEncoder(path, tokenizer)(texts)
    for row, text in enumerate(texts):
        ids = torch.tensor([reader.encode(text).ids])
        with torch.no_grad():
            out = model.get_text_features(input_ids=ids, attention_mask=torch.ones_like(ids))
        expected = getattr(out, "pooler_output", out)[0].numpy()
        np.testing.assert_allclose(found[row], expected, rtol=1e-3, atol=1e-4)

    same = ["dog", "cat"]  # as long as each other, so that nothing is padded

    def features(texts: list[str]) -> Any:
        """A module's own function serves `make_bank` as well."""
        return model.get_text_features(torch.tensor([reader.encode(text).ids for text in texts]))

    by_module = make_bank(features, same)
    by_file = make_bank(TextEncoder(path, tokenizer), same)
    np.testing.assert_allclose(by_module.vectors, by_file.vectors, rtol=1e-3, atol=1e-4)
    assert by_module.text_encoder is None


TWO = """<ir_version: 8, opset_import: ["" : 18]>
    two (int64[N, L] input_ids{more}) => ({outputs})
    {{
        rows = Gather(table, input_ids)
        one = ReduceSum <keepdims = 0> (rows, middle)
        other = ReduceMax <keepdims = 0> (rows, middle)
    }}"""


def two(path: Path, outputs: str, more: str = "") -> Path:
    constants = {"table": TABLE, "middle": np.array([1])}
    path.write_bytes(onnx_model(TWO.format(outputs=outputs, more=more), constants))
    return path


def test_what_is_no_text_encoder_is_refused_by_name(tmp_path: Path, tokenizer: Path) -> None:
    both = two(tmp_path / "two.onnx", "float[N, 6] one, float[N, 6] other")
    with pytest.raises(InputError, match=r"several outputs \[texts, width\]: one, other"):
        TextEncoder(both, tokenizer)
    assert TextEncoder(both, tokenizer, output="other")(["dog"]).shape == (1, 6)
    with pytest.raises(InputError, match="has no output 'three'; it has one, other"):
        TextEncoder(both, tokenizer, output="three")
    flat = two(tmp_path / "flat.onnx", "float[N, L, 6] rows")
    with pytest.raises(InputError, match=r"has no output \[texts, width\]: rows"):
        TextEncoder(flat, tokenizer)
    image = two(tmp_path / "image.onnx", "float[N, 6] one", ", float[N, 3, 8, 8] pixel_values")
    with pytest.raises(InputError, match="also takes pixel_values; export the text encoder alone"):
        TextEncoder(image, tokenizer)
    with pytest.raises(InputError, match=r"no text encoder .*none.onnx; give an ONNX file"):
        TextEncoder(tmp_path / "none.onnx", tokenizer)
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"model": 1}')
    with pytest.raises(InputError, match=r"is no tokenizer.json"):
        TextEncoder(both, wrong, output="one")


def test_without_tokenizers_the_message_says_what_installs_it(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(InputError, match=r'pip install "graftcam\[words\]"'):
        TextEncoder(bag(tmp_path / "bag.onnx"), tokenizer)
