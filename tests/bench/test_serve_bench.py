"""The load tests of the service: the page that they write, the client, and each part."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from benchmarks.serve import parts
from benchmarks.serve.client import Connection, Seen, drive, request_of
from benchmarks.serve.models import PHOTOS
from benchmarks.serve.page import section, write_section
from benchmarks.serve.running import running
from support.exports import exported_digits
from support.paths import ROOT

pytest.importorskip("uvicorn")
STORED: dict[str, Any] = json.loads((ROOT / "docs" / "serve.json").read_text())
PHOTO = PHOTOS[1]


def test_the_section_replaces_itself_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text("# Benchmarks\n\n## Deployed\n\nx\n\n## Since the earlier run\n\ny\n")
    write_section(STORED, page)
    once = page.read_text()
    write_section(STORED, page)
    assert page.read_text() == once
    titles = [line for line in once.splitlines() if line.startswith("## ")]
    assert titles == ["## Deployed", "## Serving", "## Since the earlier run"]
    assert once.startswith("# Benchmarks\n\n## Deployed\n\nx\n\n## Serving\n\n")
    assert once.endswith("\n\n## Since the earlier run\n\ny\n")


def test_a_model_that_misses_a_target_is_named_with_the_reason() -> None:
    key = "pace/efficientnet-lite0"
    row = STORED["parts"][key]
    good = row | {"ratio": [0.9, 1.0, 1.1], "eight_p99_ratio": [1.2, 1.3, 1.4]}
    bad = good | {"ratio": [1.1, 1.2, 1.3]}
    texts = ["\n".join(section({**STORED, "parts": {key: one}})) for one in (good, bad)]
    assert "All models reach both." in texts[0]
    assert "EfficientNet-Lite0 misses: 1.20 of the bare loop's time. Of the" in texts[1]
    assert section({"parts": {}}) == []


def test_the_parts_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    """With few requests: figures are there, and nothing is lost."""
    model = exported_digits()
    monkeypatch.setattr(parts, "SETTINGS", {"default": ()})
    pace = parts.pace(model, [PHOTO], 1, 0.2)
    assert pace["ratio"][1] > 0
    assert pace["eight_batch"][1] >= 1
    assert parts.flood(model, [PHOTO], 30)["statuses"] == {"200": 30}
    memory = parts.memory(model, [PHOTO], 20)
    assert (memory["statuses"], memory["lost"]) == ({"200": 20}, 0)
    restart = parts.restart(model, [PHOTO], 1)
    assert (restart["codes"], restart["lost"]) == ([0, 0], 0)
    assert restart["statuses"] == {"200": 800}


def test_a_request_that_nobody_answers_is_lost() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        seen = asyncio.run(drive(port, [request_of(PHOTO, "/")], 1, 60, 2))
    assert (seen.lost, seen.statuses) == (2, {})


def test_a_connection_that_was_closed_meanwhile_is_opened_again() -> None:
    async def ask_twice(port: int) -> Seen:
        seen, connection = Seen(), Connection(port)
        request = request_of(PHOTO, "/api/models/model/explain")
        assert await connection.ask(request, seen) == 200
        assert connection._streams is not None
        connection._streams[1].close()
        assert await connection.ask(request, seen) == 200
        return seen

    with running(exported_digits()) as service:
        assert asyncio.run(ask_twice(service.port)).again == 1
