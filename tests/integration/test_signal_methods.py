"""Methods of all kinds on a signal, from an exported model, against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from graftcam.exporter import export
from graftcam.runtime import METHODS, Explainer
from graftcam.runtime.errors import InputError
from graftcam.runtime.methods.table import ATTENTION_METHODS

NOT_FOR_THIS = {
    "guided-gradcam": "guided Grad-CAM multiplies with an image's gradients",
    "scorecam": r"has shape \[1, 3, 128\]; the method masks images",
    "rise": r"has shape \[1, 3, 128\]; the method masks images",
    **dict.fromkeys(ATTENTION_METHODS, "follows attention, and the artifact has none"),
}
SIGNAL = np.random.default_rng(0).normal(size=(3, 128)).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv1d(3, 8, 9, 4, 4), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 4)
    ).eval()


@pytest.fixture(scope="module")
def explainer(model: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Explainer:
    path = tmp_path_factory.mktemp("signal") / "signal.onnx"
    extras = {"guided", "head", "fullgrad"}
    export(model, path, (torch.zeros(1, 3, 128),), layers="1", extras=extras, verify="off")
    return Explainer(path)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_makes_a_map_or_says_what_it_is_for(explainer: Explainer, method: str) -> None:
    options = {"baseline": 0.0} if method == "integrated-gradients" else {}
    if method in NOT_FOR_THIS:
        with pytest.raises(InputError, match=NOT_FOR_THIS[method]):
            explainer.explain(SIGNAL, [0, 1], method=method)
        return
    found = explainer.explain(SIGNAL, [0, 1], method=method, options=options)
    assert found.heatmaps.shape == (2, 128)
    assert found.status == ["ok", "ok"]


def test_gradients_of_the_signal_are_those_of_pytorch(
    explainer: Explainer, model: nn.Module
) -> None:
    signal = torch.tensor(SIGNAL[None], requires_grad=True)
    model(signal)[0, 2].backward()
    assert signal.grad is not None
    saliency = explainer.explain(SIGNAL, 2, method="saliency").maps[0]
    np.testing.assert_allclose(saliency, signal.grad[0].abs().amax(0).numpy(), rtol=1e-5)
    product = explainer.explain(SIGNAL, 2, method="input-x-gradient").maps[0]
    expected = (signal.grad[0] * signal[0]).sum(0).detach().numpy()
    np.testing.assert_allclose(product, expected, rtol=1e-4, atol=1e-7)


def test_integrated_gradients_are_complete_from_a_number(explainer: Explainer) -> None:
    options = {"baseline": 0.0, "steps": 200}
    found = explainer.explain(SIGNAL, 0, method="integrated-gradients", options=options)
    change = found.measures["score_change"][0]
    assert found.measures["completeness_error"][0] < 0.02 * abs(change)
    for baseline in ("blur", "mean"):
        with pytest.raises(InputError, match=f"baseline '{baseline}' is made of an image"):
            explainer.explain(
                SIGNAL, 0, method="integrated-gradients", options={"baseline": baseline}
            )
