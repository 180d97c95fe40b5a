"""Requests that wait together for a model of a service."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from graftcam.runtime.tools.serve.batching import Job
from graftcam.runtime.tools.serve.model import ServedModel


def gated(model: ServedModel, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Let a model's runs wait for an event."""
    go, run = threading.Event(), model.batches._run

    def wait(jobs: Sequence[Job]) -> Any:
        assert go.wait(20)
        return run(jobs)

    monkeypatch.setattr(model.batches, "_run", wait)
    return go


def until(true: Callable[[], bool]) -> None:
    """Wait for what other threads do."""
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def ask_together(
    client: Any, name: str, first: Callable[[], Any], asks: Sequence[Callable[[], Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> list[Any]:  # fmt: skip
    """Send requests to a model that all wait while it is busy with a first one, of another kind."""
    model = client.service.model(name)
    go = gated(model, monkeypatch)
    with ThreadPoolExecutor(len(asks) + 1) as pool:
        busy = pool.submit(first)
        until(lambda: client.service._busy == 1 and len(model.batches) == 0)
        answers: list[Any] = []
        for count, ask in enumerate(asks, 1):
            answers.append(pool.submit(ask))
            until(lambda count=count: len(model.batches) == count)
        go.set()
        assert busy.result(20).status_code == 200
        return [one.result(20) for one in answers]
