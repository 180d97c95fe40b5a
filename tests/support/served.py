"""A service of small artifacts, in this process or in one of its own."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from starlette.testclient import TestClient

from graftcam.runtime.tools.serve.application import application
from graftcam.runtime.tools.serve.service import Service
from graftcam.runtime.tools.serve.settings import Limits, ServedFile, ServeSettings
from support.artifacts import SCENE, write_artifact, write_two_layers
from support.paths import ROOT
from support.small_detector import export_detector


@contextlib.contextmanager
def served(limits: Limits | None = None, **paths: Path) -> Generator[TestClient]:
    """Serve artifacts by name in this process; the client has the service as an attribute."""
    service = Service(settings(limits, **paths))
    service.open()
    with TestClient(application(service)) as client:
        client.service = service  # pyright: ignore[reportAttributeAccessIssue]
        yield client
    service.close()


def settings(limits: Limits | None = None, **paths: Path) -> ServeSettings:
    """The settings of a service of artifacts by name."""
    files = tuple(ServedFile(name, str(path)) for name, path in paths.items())
    return ServeSettings(files, "cpu", 1, limits=limits or Limits())


def write_models(folder: Path) -> dict[str, Path]:
    """Write artifacts of different kinds, by their names: classes, two layers, boxes."""
    return {
        "patches": write_artifact(folder / "patches.onnx"),
        "layers": write_two_layers(folder / "layers.onnx"),
        "boxes": export_detector(folder / "boxes.onnx"),
    }


def picture(image: np.ndarray = SCENE, suffix: str = ".png") -> bytes:
    """The bytes of an image file."""
    return cv2.imencode(suffix, image[:, :, ::-1])[1].tobytes()


def explain(client: TestClient, model: str = "patches", data: bytes | None = None,
            **query: Any) -> Any:  # fmt: skip
    """Ask for an explanation of an image that is the whole body."""
    headers = {"Content-Type": "image/png"}
    return client.post(f"/api/models/{model}/explain", content=data or picture(), params=query,
                       headers=headers)  # fmt: skip


@contextlib.contextmanager
def process(*arguments: object, **options: Any) -> Generator[tuple[subprocess.Popen[str], int]]:
    """Run ``graftcam serve`` in a process of its own; yield it and its port when it is ready."""
    place = {"PYTHONPATH": os.pathsep.join([str(ROOT.parent), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "graftcam", "serve", *map(str, arguments), "--provider", "cpu"]
    if "--fd" not in command and "--port" not in command:
        command += ["--port", "0"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | place, **options
    ) as started:
        assert started.stderr is not None
        said = started.stderr.readline()
        try:
            assert "serving" in said, said
            yield started, int(said.partition(" at http://")[2].split()[0].rpartition(":")[2])
        finally:
            started.kill()


def connect(port: int) -> socket.socket:
    """Open a connection to a service."""
    return socket.create_connection(("127.0.0.1", port), timeout=20)
