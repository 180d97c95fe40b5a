"""CLIP by words on the command line: a bank of prompts, exports, explanations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from graftcam.runtime import Bank, Explainer
from support.cli import call, fail, refuse, succeed
from support.clip_models import write_tokenizer
from support.onnx_bytes import onnx_model

pytest.importorskip("tokenizers")
WIDTH = 6
TEXT = """<ir_version: 8, opset_import: ["" : 18]>
    bag (int64[N, L] input_ids) => (float[N, 6] text_embeds)
    {
        rows = Gather(table, input_ids)
        text_embeds = ReduceSum <keepdims = 0> (rows, middle)
    }"""
IMAGE = """<ir_version: 8, opset_import: ["" : 18]>
    patches (float[N, 3, 32, 32] image) => (float[N, 6] image_embeds)
    {
        sums = Conv <strides = [8, 8]> (image, kernel)
        features = Relu(sums)
        pooled = GlobalAveragePool(features)
        flat = Flatten(pooled)
        image_embeds = Gemm <transB = 1> (flat, weights)
    }"""


def _drawn(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both encoders, the tokenizer, a photograph, a bank, and an artifact of each form."""
    folder = tmp_path_factory.mktemp("words")
    names = ("text.onnx", "other.onnx", "image.onnx", "tokenizer.json", "photo.png", "bank.npz",
             "fed.onnx", "own.onnx", "loose.onnx", "newer.onnx")  # fmt: skip
    made = {name.partition(".")[0]: folder / name for name in names}
    middle = np.array([1])
    made["text"].write_bytes(onnx_model(TEXT, {"table": _drawn(0, 64, WIDTH), "middle": middle}))
    made["other"].write_bytes(onnx_model(TEXT, {"table": _drawn(9, 64, WIDTH), "middle": middle}))
    image = {"kernel": _drawn(1, 5, 3, 8, 8), "weights": _drawn(2, WIDTH, 5)}
    made["image"].write_bytes(onnx_model(IMAGE, image))
    write_tokenizer(made["tokenizer"])
    pixels = np.random.default_rng(3).integers(0, 256, (40, 48, 3), np.uint8)
    cv2.imwrite(str(made["photo"]), pixels)
    encode = ["--tokenizer", made["tokenizer"], "--template", "a photo of the {}"]
    succeed("prompts", made["text"], *encode, "-p", "dog", "-p", "cat", "-p", "small eel",
            "--scale", "20", "-o", made["bank"])  # fmt: skip
    options = ["--score", "similarity", "--preprocess", "unit", "--extra", "input_gradients"]
    succeed("export", made["image"], *options, "--scale", "20", "--text-encoder", made["text"],
            "-o", made["fed"])  # fmt: skip
    succeed("export", made["image"], *options, "--scale", "20", "-o", made["loose"])
    succeed("export", made["image"], *options, "--bank", made["bank"], "-o", made["own"])
    weights = {**image, "weights": _drawn(5, WIDTH, 5) - _drawn(2, WIDTH, 5)}
    made["image"].with_name("newer_image.onnx").write_bytes(onnx_model(IMAGE, weights))
    succeed("export", made["image"].with_name("newer_image.onnx"), *options, "--scale", "20",
            "-o", made["newer"])  # fmt: skip
    return made


def _classes(*arguments: object) -> list[Any]:
    (found,) = json.loads(succeed(*arguments, "--json").stdout)
    return [(one["label"], one["score"], one["probability"]) for one in found["classes"]]


def test_prompts_are_explained_as_if_they_were_classes(
    files: dict[str, Path], tmp_path: Path
) -> None:
    photo, out = files["photo"], ("-o", tmp_path / "out")
    own = _classes("explain", files["own"], photo, *out, "--top", "3")
    fed = _classes("explain", files["fed"], photo, *out, "--bank", files["bank"], "--top", "3")
    assert [one[0] for one in own] == [one[0] for one in fed]
    np.testing.assert_allclose(
        [one[1:] for one in own], [one[1:] for one in fed], rtol=1e-4, atol=1e-6
    )
    assert sum(one[2] for one in own) == pytest.approx(1, abs=1e-5)
    both = ["-p", "cat", "--prompt", "SMALL eel"]
    by_name = _classes("explain", files["own"], photo, *out, *both)
    assert [one[0] for one in by_name] == ["cat", "small eel"]
    again = _classes("explain", files["fed"], photo, *out, *both, "--bank", files["bank"])
    np.testing.assert_allclose(
        [one[1:] for one in by_name], [one[1:] for one in again], rtol=1e-4, atol=1e-6
    )
    assert {file.name for file in (tmp_path / "out").iterdir()} >= {
        "photo-cat.png",
        "photo-small-eel.png",
    }


def test_prompts_are_encoded_at_once_with_the_text_encoder(
    files: dict[str, Path], tmp_path: Path
) -> None:
    encoder = ["--text-encoder", files["text"], "--tokenizer", files["tokenizer"]]
    explain = ["explain", files["fed"], files["photo"], "-o", tmp_path / "out"]
    prompts = ["-p", "dog", "-p", "cat", "-p", "small eel"]
    found = _classes(*explain, *encoder, *prompts, "--template", "a photo of the {}")
    expected = _classes(*explain, "--bank", files["bank"], *prompts)
    assert found == expected
    plain = _classes(*explain, *encoder, "-p", "a photo of the dog", "-p", "cat")
    assert plain[0][0] == "a photo of the dog"
    assert plain[0][1] == pytest.approx(found[0][1])
    assert plain[0][2] + plain[1][2] == pytest.approx(1)


def test_inspect_says_how_images_and_texts_are_compared(files: dict[str, Path]) -> None:
    own, fed = call("inspect", files["own"]).stdout, call("inspect", files["fed"]).stdout
    assert "3 texts of a bank (20 * cosine, text encoder " in own
    assert "labels  dog, cat, small eel" in own
    assert "score_weights: float32 [N or 1, K, *image_embeds], embeddings of texts" in fed
    assert "any texts, compared with image_embeds (20 * cosine, text encoder " in fed


def test_a_folder_takes_a_bank(files: dict[str, Path], tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), np.uint8)
        cv2.imwrite(str(photos / f"{number}.png"), pixels)
    folder = ["explain", files["fed"], photos, "-o", out]
    succeed(*folder, "--bank", files["bank"], "-p", "dog")
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert [row["classes"][0]["label"] for row in rows] == ["dog"] * 3
    said = fail(*folder, "-p", "dog", "--text-encoder", files["text"], code=2)
    assert "encode the prompts once by `graftcam prompts`" in said


def test_only_the_width_is_compared_where_nothing_else_is_known(
    files: dict[str, Path], tmp_path: Path
) -> None:
    explain = ["explain", files["loose"], files["photo"], "-o", tmp_path, "--bank", files["bank"]]
    said = succeed(*explain, "-p", "dog").stderr
    assert "note: the artifact does not record its text encoder: only the width" in said
    assert "note:" not in succeed("explain", files["fed"], *explain[2:], "-p", "dog").stderr


def test_verify_proves_both_forms_against_the_source(files: dict[str, Path]) -> None:
    for form in ("own", "fed"):
        succeed("verify", files[form], "--against", files["image"])


def test_names_come_from_a_file_and_are_encoded_once(
    files: dict[str, Path], tmp_path: Path
) -> None:
    names, bank = tmp_path / "names.txt", tmp_path / "bank.npz"
    names.write_text("\ufeffdog\n\n cat \ndog\n", "utf-8")
    make = ["prompts", files["text"], "--tokenizer", files["tokenizer"], "-o", bank]
    said = succeed(*make, "--file", names, "-p", "red eel", "--template", "a {}",
                   "--template", "the {}").stdout  # fmt: skip
    assert "3 prompts in 2 templates, embeddings of 6 numbers, text encoder " in said
    assert Explainer(files["fed"]).explain(files["photo"], bank=bank, prompts="cat").labels == [
        "cat"
    ]
    assert "no prompts" in fail(*make, code=2)
    names.write_bytes(b"\xff\xfe\xff")
    assert "is no text in UTF-8" in refuse(*make, "--file", names)
    assert "call it names.npz" in refuse(*make[:-1], tmp_path / "names.txt", "-p", "dog")
    assert "it is an input" in refuse(*make[:-1], files["tokenizer"], "-p", "dog")


LONG = "a photo of a dog and a red cat and a green eel and a dog"


@pytest.mark.parametrize(
    ("form", "options", "message"),
    [
        ("fed", ["-p", "dog"], "has none of ['dog']; give the bank that `graftcam prompts` made"),
        ("fed", [], "compares 'image_embeds' with texts: give the bank"),
        ("fed", ["--class", "dog"], "compares 'image_embeds' with texts and has no classes"),
        ("fed", ["-p", "fox", "--bank", "bank"], "the bank has no 'fox'; it has 3 names, such as"),
        ("fed", ["--bank", "bank", "--top", "4"], "top=4 is out of range; the bank has 3 names"),
        ("fed", ["--bank", "bank", "--class", "1"], "explained instead of classes; leave one"),
        ("fed", ["--bank", "photo"], "is no name of a bank; call it photo.npz"),
        ("fed", ["--bank", "wide", "-p", "dog"], "have 7 numbers, and 'image_embeds' of fed.onnx"),
        ("fed", ["--bank", "strange", "-p", "dog"], "made by text encoder"),
        ("fed", ["-p", LONG, "--text-encoder", "text", "--tokenizer", "tokenizer"],
         "has 18 tokens, and the text encoder takes 16; write a shorter one"),
        ("fed", ["-p", " ", "--text-encoder", "text", "--tokenizer", "tokenizer"],
         "a prompt is empty"),
        ("fed", ["-p", "dog", "--text-encoder", "other", "--tokenizer", "tokenizer"],
         "made by text encoder"),
        ("fed", ["-p", "dog", "--text-encoder", "image", "--tokenizer", "tokenizer"],
         "takes image: no text encoder"),
        ("own", ["-p", "dog", "--bank", "bank"], "has a bank of its own; leave the bank"),
        ("own", ["-p", "fox"], "unknown label 'fox'; give an id, or one of"),
        ("image", ["-p", "dog"], "is no artifact yet"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line(
    files: dict[str, Path], tmp_path: Path, form: str, options: list[str], message: str
) -> None:
    more = {"wide": tmp_path / "wide.npz", "strange": tmp_path / "strange.npz"}
    Bank(["dog"], _drawn(0, 1, 7)).write(more["wide"])
    Bank(["dog"], _drawn(0, 1, 6), text_encoder="0" * 64).write(more["strange"])
    known = {**files, **more}
    # What follows an option for a file is a name from above.
    paths = {"--bank", "--text-encoder", "--tokenizer"}
    given = [
        known[one] if before in paths else one
        for before, one in zip(["", *options], options, strict=False)
    ]
    said = refuse("explain", files[form], files["photo"], "-o", tmp_path / "out", *given)
    assert message in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--text-encoder", "text.onnx", "-p", "dog"], "needs the --tokenizer"),
        (["--text-encoder", "text.onnx"], "encodes prompts; give --prompt"),
        (["--tokenizer", "t.json", "-p", "dog"], "--tokenizer goes with --text-encoder"),
        (["--bank", "b.npz", "--text-encoder", "t.onnx"], "has its embeddings already"),
        (["-p", "dog", "--top", "2"], "--prompt those that it names; leave one out"),
    ],
)
def test_options_that_belong_together_are_wrong_usage_alone(
    files: dict[str, Path], tmp_path: Path, options: list[str], message: str
) -> None:
    said = fail("explain", files["fed"], files["photo"], "-o", tmp_path, *options, code=2)
    assert message in " ".join(said.split())


def test_a_classifier_takes_no_prompts(tmp_path: Path) -> None:
    from support.artifacts import write_artifact

    path = write_artifact(tmp_path / "m.onnx")
    cv2.imwrite(str(tmp_path / "p.png"), np.zeros((32, 32, 3), np.uint8))
    said = refuse("explain", path, tmp_path / "p.png", "-o", tmp_path / "out", "-p", "red")
    assert "takes no prompts: its score is a logit of 'logits'; export it with" in said


def _photos(folder: Path) -> Path:
    folder.mkdir()
    for number in range(5):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), pixels)
    return folder


def _differences(*arguments: object) -> dict[str, Any]:
    return json.loads(succeed("diff", *arguments, "--json").stdout)


def test_diff_compares_the_best_texts_of_a_bank(files: dict[str, Path], tmp_path: Path) -> None:
    photos, bank = _photos(tmp_path / "photos"), ("--bank", files["bank"])
    same = _differences(files["fed"], files["fed"], photos, *bank)
    assert (same["images"], same["agreement"]) == (5, 1)
    assert same["similarity"] == pytest.approx(1, abs=1e-6)
    own = _differences(files["own"], files["own"], photos)
    assert {one["path"]: one["label"] for one in same["changes"]} == {
        one["path"]: one["label"] for one in own["changes"]
    }
    for pair in (("fed", "own"), ("own", "fed")):
        mixed = _differences(*(files[name] for name in pair), photos, *bank)
        assert mixed["agreement"] == 1
        assert mixed["similarity"] == pytest.approx(1, abs=1e-5)
    out = ("-o", tmp_path / "out")
    other = _differences(files["fed"], files["newer"], photos, *bank, *out)
    assert other["agreement"] < 1
    explainers = [Explainer(files[name]) for name in ("fed", "newer")]
    for change in other["changes"]:
        best = [one.explain(change["path"], bank=files["bank"]).labels[0] for one in explainers]
        assert change["predicted"] == best
        assert change["label"] == best[0]
    assert [*(tmp_path / "out").glob("01-*.png")]


def test_diff_compares_some_texts_of_a_bank_or_those_it_encodes(
    files: dict[str, Path], tmp_path: Path
) -> None:
    photos, pair = _photos(tmp_path / "photos"), (files["fed"], files["newer"])
    some = _differences(*pair, photos, "--bank", files["bank"], "-p", "cat", "-p", "small eel")
    assert {one["label"] for one in some["changes"]} <= {"cat", "small eel"}
    one = _differences(*pair, photos, "--bank", files["bank"], "-p", "cat")
    assert {tuple(change["predicted"]) for change in one["changes"]} == {("cat", "cat")}
    encoder = ["--text-encoder", files["text"], "--tokenizer", files["tokenizer"]]
    names = ["-p", "cat", "-p", "small eel", "--template", "a photo of the {}"]
    encoded = _differences(*pair, photos, *encoder, *names)
    assert encoded == some


def test_diff_finds_the_best_text_where_there_are_no_probabilities(
    files: dict[str, Path], tmp_path: Path
) -> None:
    photos, made = _photos(tmp_path / "photos"), list[Path]()
    for name in ("image.onnx", "newer_image.onnx"):
        made.append(tmp_path / name)
        succeed("export", files["image"].with_name(name), "--score", "similarity", "--scale", "20",
                "--activation", "none", "--preprocess", "unit", "-o", made[-1])  # fmt: skip
    expected = _differences(files["fed"], files["newer"], photos, "--bank", files["bank"])
    found = _differences(*made, photos, "--bank", files["bank"])
    assert {one["path"]: one["predicted"] for one in found["changes"]} == {
        one["path"]: one["predicted"] for one in expected["changes"]
    }


def test_what_diff_cannot_compare_is_one_line(files: dict[str, Path], tmp_path: Path) -> None:
    fed, own, photo = files["fed"], files["own"], files["photo"]
    assert "fed.onnx compares images with texts that are fed; give the bank" in refuse(
        "diff", fed, fed, photo
    )
    assert "take no texts; leave the bank" in refuse(
        "diff", own, own, photo, "--bank", files["bank"]
    )
    Bank(["dog"], _drawn(0, 1, 7)).write(tmp_path / "wide.npz")
    said = refuse("diff", own, fed, photo, "--bank", tmp_path / "wide.npz")
    assert "the bank's embeddings have 7 numbers" in said
    Bank(["fox"], _drawn(0, 1, WIDTH)).write(tmp_path / "fox.npz")
    said = refuse("diff", own, fed, photo, "--bank", tmp_path / "fox.npz")
    assert "fed.onnx cannot explain " in said
    assert "the bank has no " in said
    usage = fail("diff", fed, fed, photo, "-p", "dog", code=2)
    assert "--prompt goes with --bank" in usage
    linear = tmp_path / "linear.onnx"
    succeed("export", files["image"], "--score", "linear", "--preprocess", "unit", "-o", linear)
    assert "weights that are fed, so it has no best class" in refuse("diff", linear, own, photo)


def test_an_image_is_made_for_a_text(files: dict[str, Path], tmp_path: Path) -> None:
    ascent = ["--parametrisation", "pixels", "--steps", "30", "--rate", "0.2", "--json"]
    found = dict[str, Any]()
    encoder = ["--text-encoder", files["text"], "--tokenizer", files["tokenizer"]]
    forms = {
        "fed": ["--bank", files["bank"], "--prompt", "cat"],
        "own": ["--prompt", "cat"],
        "loose": [*encoder, "--prompt", "cat", "--template", "a photo of the {}"],
    }
    for name, given in forms.items():
        made = succeed("visualize", files[name], *given, *ascent, "-o", tmp_path / f"{name}.png")
        found[name] = json.loads(made.stdout)
    by_class = ["--class", "cat", *ascent, "-o", tmp_path / "class.png"]
    found["class"] = json.loads(succeed("visualize", files["own"], *by_class).stdout)
    explainer = Explainer(files["fed"])
    for name, one in found.items():
        assert one["start"] == pytest.approx(found["fed"]["start"], rel=1e-4)
        assert one["score"] > one["start"]
        shown = explainer.explain(tmp_path / f"{name}.png", prompts="cat", bank=files["bank"])
        assert shown.scores[0] == pytest.approx(one["score"], rel=1e-4)


def test_an_image_for_a_text_needs_the_text(files: dict[str, Path], tmp_path: Path) -> None:
    to = ("-o", tmp_path / "v.png")
    said = refuse("visualize", files["fed"], "--prompt", "cat", *to)
    assert "give the bank that `graftcam prompts` made (--bank)" in said
    said = refuse("visualize", files["fed"], "--class", "cat", *to)
    assert "has no classes; give prompts with a bank (--prompt, --bank)" in said
    usage = fail("visualize", files["fed"], "--bank", files["bank"], *to, code=2)
    assert "give one of --class, --channel, --score-weights and --prompt" in usage
    two = ("--prompt", "cat", "--prompt", "dog")
    usage = fail("visualize", files["fed"], "--bank", files["bank"], *two, *to, code=2)
    assert "give one of" in usage


@pytest.mark.parametrize("command", ["shrink", "concepts"])
def test_what_is_about_classes_needs_a_bank_in_the_graph(
    command: str, files: dict[str, Path], tmp_path: Path
) -> None:
    photos = _photos(tmp_path / "photos")
    given = ["--images", photos] if command == "shrink" else [photos]
    to = tmp_path / ("small.onnx" if command == "shrink" else "out")
    said = refuse(command, files["fed"], *given, "-o", to)
    assert "fed.onnx compares images with texts that are fed" in said
    assert "export it with a bank (--bank)" in said
    succeed(command, files["own"], *given, "-o", to)
