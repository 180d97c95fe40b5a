"""torch.hub without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch


def hub_without_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let torch.hub look for files below ``folder`` alone; return where it looks for weights."""

    def unreachable(*_: Any, **__: Any) -> None:
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "urlopen", unreachable)
    monkeypatch.setenv("TORCH_HOME", str(folder))
    return folder / "hub" / "checkpoints"
