"""An embedding is scored by its cosine to embeddings of texts: fed, or the bank in the graph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from graftcam.exporter import Score, TorchExport, export
from graftcam.exporter.artifact.bank_of import bank_of
from graftcam.exporter.capture.similarity import BANK_OUTPUT
from graftcam.exporter.errors import CaptureError, GraftcamError, ScoreError, SettingsError
from graftcam.exporter.release import verify_artifact
from graftcam.exporter.source.named import Source
from graftcam.runtime import Bank, Explainer
from graftcam.runtime.errors import SpecError
from graftcam.runtime.session.session import Session
from graftcam.runtime.spec import Spec
from support.clip_models import SIDE, WIDTH, clip_model, clip_vision, siglip_model

LAYER = "vision_model.encoder.layers.2.layer_norm1"
NAMES = ["dog", "cat", "eel", "fox", "owl"]
SCALE = 20.0
IMAGES = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
TEXTS = np.random.default_rng(2).standard_normal((5, WIDTH)).astype(np.float32)


class Pooled(nn.Module):
    """A convolution, a pool and a linear layer: an image encoder without a scale of its own."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.head = nn.Linear(8, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.stem(x)).mean((2, 3)))


def make_bank(width: int = WIDTH, **options: Any) -> Bank:
    vectors = np.random.default_rng(2).standard_normal((5, width)).astype(np.float32)
    return Bank(NAMES, vectors, **options)


@pytest.fixture(scope="module")
def clip() -> Any:
    return clip_vision(clip_model())


@pytest.fixture(scope="module")
def fed(clip: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fed") / "fed.onnx"
    report = export(clip, path, {"pixel_values": IMAGES}, score="similarity", scale=SCALE)
    assert report.verification.verdict == "pass"
    return path


@pytest.fixture(scope="module")
def banked(clip: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bank") / "bank.onnx"
    score = Score("similarity", scale=SCALE)
    report = export(clip, path, {"pixel_values": IMAGES}, score=score, bank=make_bank())
    assert report.verification.verdict == "pass"
    return path


def autograd(module: Any, texts: np.ndarray, scale: float, bias: float = 0.0) -> tuple[Any, Any]:
    """Scores [N, K] and gradients [N, K, C, 4, 4] of tokens behind the class token, in float64."""
    kept: list[torch.Tensor] = []

    def keep(_module: Any, _inputs: Any, result: torch.Tensor) -> torch.Tensor:
        kept.append(result)
        return result

    wide = module.double()
    hook = wide.get_submodule(LAYER).register_forward_hook(keep)
    try:
        embeddings = wide(pixel_values=IMAGES.double()).image_embeds
    finally:
        hook.remove()
    rows = normalize(torch.tensor(texts, dtype=torch.float64), dim=1)
    scores = scale * normalize(embeddings, dim=1) @ rows.T + bias
    slopes = [torch.autograd.grad(one.sum(), kept[0], retain_graph=True)[0] for one in scores.T]
    tokens = torch.stack(slopes, dim=1)[:, :, 1:]
    module.float()
    return scores.detach().numpy(), tokens.transpose(2, 3).unflatten(-1, (4, 4)).numpy()


def test_scores_and_gradients_of_fed_texts_are_autograds(fed: Path, clip: Any) -> None:
    scores, slopes = autograd(clip, TEXTS, SCALE)
    explainer = Explainer(fed)
    assert [one.name for one in explainer.spec.layers] == [LAYER]
    # Texts of any length: the graph divides by it.
    weights = TEXTS * np.array([[1], [7], [0.1], [1], [30]], np.float32)
    found = explainer.run(IMAGES.numpy(), score_weights=weights[None])
    np.testing.assert_allclose(found["scores"], scores, rtol=1e-4, atol=1e-4)
    size = np.abs(slopes).max()
    np.testing.assert_allclose(found["gradients"], slopes, atol=1e-5 * size)
    assert found["heatmap"].shape == (2, 5, 4, 4)


def test_scores_and_gradients_of_a_bank_are_autograds(banked: Path, clip: Any) -> None:
    scores, slopes = autograd(clip, TEXTS, SCALE)
    found = Explainer(banked).run(IMAGES.numpy(), class_index=[[4, 0]])
    np.testing.assert_allclose(found["similarity"], scores, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found["scores"], scores[:, [4, 0]], rtol=1e-4, atol=1e-4)
    size = np.abs(slopes).max()
    np.testing.assert_allclose(found["gradients"], slopes[:, [4, 0]], atol=1e-5 * size)


def test_an_artifact_with_a_bank_explains_as_one_that_is_fed_the_bank(
    fed: Path, banked: Path
) -> None:
    image = IMAGES[0].numpy()
    own = Explainer(banked).explain(image, top=5)
    same = Explainer(fed).explain(image, bank=make_bank(), top=5)
    assert own.labels == same.labels
    assert own.classes == same.classes
    np.testing.assert_allclose(own.scores, same.scores, rtol=1e-5)
    np.testing.assert_allclose(own.probabilities, same.probabilities, rtol=1e-4)
    np.testing.assert_allclose(own.maps, same.maps, atol=1e-5 * float(np.abs(own.maps).max()))
    assert own.probabilities is not None
    assert float(own.probabilities.sum()) == pytest.approx(1)


def test_the_record_says_how_an_embedding_is_compared(fed: Path, banked: Path) -> None:
    spec, other = Session(fed).spec, Session(banked).spec
    assert (spec.score.kind, spec.score.output) == ("similarity", "image_embeds")
    assert (spec.class_index, spec.classes, spec.labels) == (None, None, None)
    assert (other.score.kind, other.score.output) == ("logit", BANK_OUTPUT)
    assert other.labels == NAMES
    assert BANK_OUTPUT in other.own_outputs
    how = other.score.similarity
    assert how is not None
    assert (how.embedding, how.width, how.scale) == ("image_embeds", WIDTH, SCALE)
    bank = bank_of(banked, other)
    assert bank is not None
    np.testing.assert_array_equal(bank.vectors, make_bank().vectors)
    assert bank_of(fed, spec) is None


def test_scale_and_bias_are_those_of_the_module_unless_they_are_given(tmp_path: Path) -> None:
    model = siglip_model()

    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.vision_model = model.vision_model
            self.logit_scale, self.logit_bias = model.logit_scale, model.logit_bias

        def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
            return self.vision_model(pixel_values=pixel_values).pooler_output

    path = tmp_path / "siglip.onnx"
    found = export(Half(), path, (IMAGES,), score="similarity").spec.score
    assert found.similarity is not None
    assert found.activation == "sigmoid"
    assert found.similarity.scale == pytest.approx(np.exp(1.5))
    assert found.similarity.bias == -2.0
    ids = torch.tensor([[5, 9, 7, 3] * 4, [8, 4, 6, 3] * 4])
    with torch.no_grad():
        expected = model(pixel_values=IMAGES, input_ids=ids).logits_per_image
        texts = model.get_text_features(input_ids=ids)
    texts = getattr(texts, "pooler_output", texts).numpy()
    bank = Bank(["one", "two"], texts)
    shown = Explainer(path).explain(IMAGES[0].numpy(), bank=bank, prompts=["two", "one"])
    np.testing.assert_allclose(shown.scores, expected[0].flip(0), rtol=1e-4)
    np.testing.assert_allclose(shown.probabilities, expected[0].sigmoid(), rtol=1e-4)
    given = export(Half(), path, (IMAGES,), score="similarity", scale=2, bias=0, verify="off")
    how = given.spec.score.similarity
    assert how is not None
    assert (how.scale, how.bias, given.spec.score.activation) == (2.0, None, "softmax")


@pytest.mark.parametrize("bank", [None, make_bank(scale=SCALE, bias=-3.0)])
def test_a_file_is_proven_alone_and_against_its_source(bank: Bank | None, tmp_path: Path) -> None:
    plain, path = tmp_path / "plain.onnx", tmp_path / "m.onnx"
    torch.onnx.export(Pooled().eval(), (IMAGES,), plain, dynamo=True, verbose=False,
                      output_names=["embedding"], external_data=False)  # fmt: skip
    more: dict[str, Any] = {"bank": bank} if bank else {"scale": SCALE, "bias": -3.0}
    report = export(plain, path, score="similarity", extras={"input_gradients"}, **more)
    assert report.verification.verdict == "pass"
    for source in (None, Source(plain, "plain")):
        _, verdict = verify_artifact(path, source, seconds=60)
        assert verdict.status == "pass"
        assert {one.check for one in verdict.findings if one.status == "pass"} >= {
            "outputs", "gradients", "scores", "heatmap", *(["determinism"] if source else []),
        }  # fmt: skip
    with torch.no_grad():
        embeddings = normalize(Pooled()(IMAGES).double(), dim=1).numpy()
    expected = SCALE * embeddings @ make_bank().vectors.T - 3
    request: dict[str, Any] = {"prompts": NAMES} if bank else {"bank": make_bank()}
    shown = Explainer(path).explain(IMAGES[0].numpy(), **({"prompts": NAMES} | request))
    np.testing.assert_allclose(shown.scores, expected[0], rtol=1e-4)


def test_a_wrong_bank_in_the_graph_is_found(banked: Path, tmp_path: Path) -> None:
    model = onnx.load(banked)
    spec = Session(banked).spec
    how = spec.score.similarity
    assert how is not None
    (constant,) = [one for one in model.graph.initializer if one.name == how.bank]
    array = onnx.numpy_helper.to_array(constant).copy()
    array[0] = -array[0]
    constant.CopyFrom(onnx.numpy_helper.from_array(array, how.bank))
    changed = tmp_path / "changed.onnx"
    onnx.save(model, changed)
    with pytest.raises(CaptureError, match=r"has no bank \[5, 24\] with the digest"):
        bank_of(changed, spec)


def test_every_method_of_a_classifier_works_with_a_bank(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    extras = {"head", "input_gradients", "layercam"}
    export(Pooled(), path, (IMAGES,), score="similarity", bank=make_bank(scale=SCALE),
           extras=extras, trace=TorchExport(dynamic_batch=False))  # fmt: skip
    explainer, image = Explainer(path), IMAGES[0].numpy()
    for method in ("ablationcam", "saliency", "layercam", "finercam", "scorecam", "reciprocam"):
        found = explainer.explain(image, ["cat", "dog"], method=method)
        assert found.labels == ["cat", "dog"]
        assert np.isfinite(found.maps).all()


def test_methods_explain_fed_texts_each_image_its_own_best(tmp_path: Path) -> None:
    path, bank = tmp_path / "m.onnx", make_bank()
    export(Pooled(), path, (IMAGES,), score="similarity", scale=SCALE, extras="input_gradients")
    explainer = Explainer(path)
    with torch.no_grad():
        scores = normalize(Pooled()(IMAGES), dim=1).numpy() @ bank.vectors.T * SCALE
    for method in ("gradcam", "saliency", "smoothgrad", "layercam", "scorecam", "counterfactual"):
        few = {"smoothgrad": {"samples": 3}}.get(method)
        both = explainer.explain(list(IMAGES.numpy()), bank=bank, top=2, method=method, options=few)
        for row, found in enumerate(both):
            best = np.argsort(-scores[row])[:2]
            assert found.classes == list(best)
            assert found.labels == [NAMES[place] for place in best]
            np.testing.assert_allclose(found.scores, scores[row][best], rtol=1e-4)
            alone = explainer.explain(
                IMAGES[row].numpy(), bank=bank, prompts=found.labels, method=method, options=few
            )
            if method != "smoothgrad":  # whose noise is another one in a batch
                size = float(np.abs(alone.maps).max())
                np.testing.assert_allclose(found.maps, alone.maps, atol=1e-4 * size)
    flipped = explainer.explain(IMAGES[0].numpy(), bank=bank, prompts=["owl"], augment="flip")
    assert flipped.labels == ["owl"]


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({}, ScoreError, r"the scale of the similarity of .* is unknown"),
        ({"bank": make_bank(7, scale=9.0)}, ScoreError, r"have 7 numbers, and .* has 24"),
        ({"scale": 0}, ScoreError, r"scale=0; give a number from 1e-06 to 1e\+06"),
        ({"scale": "many"}, ScoreError, "scale='many'; give a number"),
        ({"scale": 9, "text_encoder": "no.onnx"}, ScoreError, "no text encoder no.onnx"),
        ({"scale": 9, "labels": ["a", "b"]}, SettingsError, "texts are fed; leave labels"),
        ({"bank": make_bank(), "labels": NAMES}, SettingsError, "the bank's names are the labels"),
        ({"scale": 9, "bank": Bank(["dog"], TEXTS[:1])}, SettingsError, "has one name, 'dog'"),
        ({"scale": 9, "bank": "no.npz"}, SettingsError, "cannot read no.npz"),
        ({"scale": 9, "bank": "no.txt"}, SettingsError, "call it no.npz"),
        ({"scale": 9, "extras": {"head"}}, ScoreError, "a similarity score has no head"),
        ({"scale": 9, "class_axis": 2}, ScoreError, "a similarity score weighs the whole output"),
        ({"scale": 9, "output": ["a", "b"]}, ScoreError, "not one of several outputs"),
        (
            {"bank": make_bank(text_encoder="0" * 64), "text_encoder": "1" * 64},
            SettingsError, "made by text encoder 000000000000, not by 111111111111",
        ),
        ({"score": "logit", "scale": 9}, ScoreError, "those of a similarity, not of 'logit'"),
        ({"score": "logit", "bank": make_bank()}, SettingsError, "goes with score='similarity'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_anything_is_written(
    given: dict[str, Any], kind: type[GraftcamError], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "m.onnx"
    with pytest.raises(kind, match=message) as caught:
        export(Pooled(), path, (IMAGES,), **{"score": "similarity", "verify": "off", **given})
    assert "\n" not in str(caught.value)
    assert not path.exists()


def test_an_output_that_is_no_embedding_is_refused(tmp_path: Path) -> None:
    class Dense(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.relu()

    with pytest.raises(ScoreError, match="an embedding"):
        export(Dense(), tmp_path / "m.onnx", (IMAGES,), score="similarity", scale=9)


def test_metadata_that_mix_up_a_similarity_are_refused(fed: Path, banked: Path) -> None:
    spec, other = Session(fed).spec, Session(banked).spec
    how = spec.score.similarity
    assert how is not None
    for wrong in (
        replace(spec, score=replace(spec.score, similarity=None)),
        replace(spec, score=replace(spec.score, kind="linear")),
        replace(other, score=replace(other.score, kind="similarity")),
        replace(spec, score=replace(spec.score, similarity=replace(how, scale=0.0))),
        replace(spec, score=replace(spec.score, similarity=replace(how, bank="x"))),
    ):
        with pytest.raises(SpecError):
            Spec.from_json(wrong.to_json())


def test_embeddings_in_half_precision_are_compared_in_single(tmp_path: Path) -> None:
    path, bank = tmp_path / "half.onnx", make_bank()
    export(Pooled().half(), path, (IMAGES.half(),), score="similarity", scale=SCALE, bank=bank)
    found = Explainer(path).run(IMAGES.numpy().astype(np.float16))
    with torch.no_grad():
        exact = SCALE * normalize(Pooled()(IMAGES), dim=1).numpy() @ bank.vectors.T
    assert found["similarity"].dtype == np.float32
    np.testing.assert_allclose(found["similarity"], exact, atol=0.05)
