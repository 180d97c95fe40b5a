"""`ServeSettings` describes a service in plain values that can be sent to another process."""

from __future__ import annotations

from dataclasses import dataclass, field

MEBIBYTE = 1 << 20
MEMORY = 512 * MEBIBYTE


@dataclass(frozen=True)
class Limits:
    """What the service accepts; docs/serve.md has the table.

    Attributes:
        bytes: Size of a request's body.
        pixels: Number of pixels of an image, by its header.
        top: Number of classes of a request.
        queue: Number of requests that are read, wait or are answered at the same time.
        timeout: Seconds for a body to arrive, and again for its answer.
        memory: Bytes of all bodies together, and of the tensors that they hold or ask for.
        all_pixels: Number of pixels of all images that are decoded at the same time; a single
            image may have more.
    """

    bytes: int = 16 * MEBIBYTE
    pixels: int = 50_000_000
    top: int = 10
    queue: int = 128
    timeout: float = 30.0
    memory: int = MEMORY
    all_pixels: int = 200_000_000


@dataclass(frozen=True)
class ServedFile:
    """One model of the service.

    Attributes:
        name: Its name in addresses.
        path: The artifact.
    """

    name: str
    path: str


@dataclass(frozen=True)
class ServeSettings:
    """A service.

    Attributes:
        models: The models, each with a name of its own.
        provider: ONNX Runtime's execution provider, or an engine; None: the best one available.
        threads: Threads within one operator; None: as many as there are cores for.
        workers: Number of runs of a model at the same time.
        batch: Number of images that run together.
        wait: Seconds that a request waits for others to run with.
        limits: What the service accepts.
        preprocess: The training transform in words; None: the one that each artifact stores.
        cors: The origin of other sites' pages that may use the API; None: none may.
    """

    models: tuple[ServedFile, ...]
    provider: str | None = None
    threads: int | None = None
    workers: int = 1
    batch: int = 4
    wait: float = 0.0
    limits: Limits = field(default_factory=Limits)
    preprocess: str | None = None
    cors: str | None = None
