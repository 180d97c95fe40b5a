"""The zoo's check of one model, from its layers to its record."""

from __future__ import annotations

from benchmarks.zoo_case import run_case
from benchmarks.zoo_models import Case


def test_a_model_passes_at_the_layers_that_the_zoo_chooses() -> None:
    record = run_case(Case("torchvision", "squeezenet1_1", (64, 96)))
    assert record["verdict"] == "pass", record["faults"]
    assert len(record["layers"]) == 3
    assert record["twin"]["error"] < 1e-5
