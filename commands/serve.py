"""`graftcam serve` answers requests for predictions and explanations over HTTP."""

from __future__ import annotations

import importlib.util
import re
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click import option

from ..runtime.errors import GraftcamError
from ..runtime.plain_text import plain
from .artifact import Wanted, artifact_of, model_options
from .common import command
from .guarded import TextOrFile
from .options import json_option, provider_option, threads_option
from .sections import METHOD, RUN, Section, under
from .terminal import note, tell

if TYPE_CHECKING:
    from ..runtime.tools.serve.settings import ServedFile

_PACKAGES = ("starlette", "uvicorn", "python_multipart", "prometheus_client")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}", re.ASCII)


class ReplicasParameter(click.ParamType):
    """A number of replicas, or the smallest and the largest."""

    name = "N|MIN-MAX"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the smallest and the largest number, or fail as a usage error."""
        if not isinstance(value, str):
            return value
        found = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", value)
        least, most = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not 1 <= least <= most:
            self.fail(f"{value!r} is no number from 1 on, nor two such as 1-4", param, ctx)
        return least, most


_address_options = under(
    Section("Address"),
    option("--host", default="127.0.0.1", show_default=True, metavar="ADDR",
           help="Address to listen on; 0.0.0.0 for all of this machine's."),
    option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, metavar="N",
           help="Port to listen on; 0: a free one."),
    option("--fd", type=click.IntRange(0), metavar="N",
           help="Instead: the listening socket that this process inherited, such as systemd's 3."),
    option("--open", "browse", is_flag=True, help="Open the page in the browser."),
    option("--cors", metavar="ORIGIN",
           help="Origin of another site whose pages may use the service, such as "
                "https://example.org. Default: none."),
)  # fmt: skip
_export_options = under(
    METHOD,
    option("--layer", "layers", multiple=True, metavar="NAME",
           help="A model that is no artifact yet: target layer, any that `graftcam layers` lists; "
                "repeatable."),
    option("--method", "methods", multiple=True, metavar="ID",
           help="A model that is no artifact yet: method that is to be served; repeatable."),
)  # fmt: skip
_run_options = under(
    RUN,
    option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True,
           help="Serve in this process, or on Ray Serve."),
    option("--ray-address", metavar="ADDR",
           help="Ray: the cluster, such as auto or ray://host:10001. Default: this machine."),
    option("--replicas", type=ReplicasParameter(), metavar="N|MIN-MAX",
           help="Ray: number of processes, each with its own sessions on --threads cores (1, if "
                "not given); or two numbers, between which Ray chooses by the load. Default: 1."),
)  # fmt: skip
_limit_options = under(
    Section("Limits"),
    option("--batch", type=click.IntRange(1), default=4, show_default=True, metavar="N",
           help="Number of images that run together, if so many wait."),
    option("--wait", type=click.FloatRange(0, 1000), default=0, show_default=True, metavar="MS",
           help="Milliseconds that a request waits for others to run with."),
    option("--workers", type=click.IntRange(1), default=1, show_default=True, metavar="N",
           help="Runs of a model at the same time, which share the cores."),
    option("--queue", type=click.IntRange(1), default=128, show_default=True, metavar="N",
           help="Number of requests that are read, wait or are answered at the same time; one more "
                "is answered by 429."),
    option("--max-bytes", type=click.IntRange(1), default=16 << 20, show_default=True, metavar="N",
           help="Size of a request."),
    option("--max-pixels", type=click.IntRange(1), default=50_000_000, show_default=True,
           metavar="N",
           help="Number of pixels that an image may have; a larger one is refused by its header."),
    option("--top", type=click.IntRange(1), default=10, show_default=True, metavar="N",
           help="Number of classes, or boxes, that one request may explain."),
    option("--timeout", type=click.FloatRange(0, min_open=True), default=30, show_default=True,
           metavar="S",
           help="Seconds for a request to arrive, and again for its answer."),
)  # fmt: skip


@command(
    "graftcam serve resnet50.onnx",
    "graftcam serve torchvision:resnet50 --open",
    "graftcam serve cats=resnet50.onnx boxes=yolo.onnx --host 0.0.0.0 --port 80",
    "graftcam serve resnet50.onnx --engine ray --ray-address auto --replicas 2-16 --threads 2",
    "graftcam serve plain.onnx --preprocess imagenet --labels names.txt",
    "curl -F image=@photo.jpg http://127.0.0.1:8000/api/models/resnet50/explain",
)
@click.argument("models", nargs=-1, required=True, type=TextOrFile(), metavar="MODEL...")
@_address_options
@model_options
@_export_options
@_limit_options
@threads_option
@provider_option
@_run_options
@json_option
def serve(
    models: tuple[str, ...], host: str, port: int, fd: int | None, browse: bool,
    weights: str | None, shapes: dict[str, list[int | None]], labels: str | None,
    preprocess: str | None, layers: tuple[str, ...], methods: tuple[str, ...], cors: str | None,
    threads: int | None, provider: str | None, engine: str, ray_address: str | None,
    replicas: tuple[int, int] | None, as_json: bool, **limits: Any,
) -> None:  # fmt: skip
    """Serve artifacts over HTTP: a page for people, an API for programs.

    MODEL is an artifact that `graftcam export` wrote; or an ONNX file, torchvision:NAME or
    timm:NAME, of which one is made, verified and kept in the cache. NAME=MODEL gives it a name in
    addresses; by default it is that of the file.

    The service ends at SIGTERM and Ctrl-C, when all requests that it accepted are answered. Nothing
    of a request is stored.
    """
    need_packages()
    from ..runtime.tools.serve import runner, sockets
    from ..runtime.tools.serve.service import Service
    from ..runtime.tools.serve.settings import MEMORY, Limits, ServeSettings

    wanted = Wanted(weights, shapes or None, labels, layers, None, methods)
    _check_engine(engine, ray_address, replicas, fd)
    # A port in use is said before an export, which takes a while.
    with sockets.listen(host, port) if fd is None else sockets.inherit(fd) as listener:
        settings = ServeSettings(
            named(models, wanted), provider, threads, limits["workers"], limits["batch"],
            limits["wait"] / 1000,
            Limits(limits["max_bytes"], limits["max_pixels"], limits["top"], limits["queue"],
                   limits["timeout"], max(MEMORY, 4 * limits["max_bytes"])),
            preprocess, cors,
        )  # fmt: skip
        address, port = sockets.address_of(listener), listener.getsockname()[1]

        def ready() -> None:
            names = [file.name for file in settings.models]
            if as_json:
                tell({"address": address, "models": names}, "", as_json=True)
            note(plain(f"serving {', '.join(names)} at {address} (Ctrl-C ends it)"))
            if browse:
                webbrowser.open(address)

        if engine == "local":
            runner.serve(Service(settings), listener, ready, inherited=fd is not None)
            return
    from ..runtime.tools.serve.on_ray import Replicas, serve_on_ray

    # Ray's proxies open sockets of their own.
    serve_on_ray(
        settings, host, port, ray_address, Replicas(*(replicas or (1, 1))),
        lambda: runner.wait_for_signal(ready),
    )  # fmt: skip


def _check_engine(
    engine: str, ray_address: str | None, replicas: tuple[int, int] | None, fd: int | None
) -> None:
    if engine != "ray" and (ray_address or replicas):
        raise click.UsageError("--ray-address and --replicas are for --engine ray")
    if engine == "ray" and fd is not None:
        raise click.UsageError("--fd is for --engine local: Ray's proxies open their own sockets")


def need_packages() -> None:
    """Raise GraftcamError if a package of the extra is missing."""
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        names = ", ".join(name.replace("_", "-") for name in missing)
        raise GraftcamError(
            f'{names} missing, which the service needs: pip install "graftcam[serve]"'
        )


def named(models: Sequence[str], wanted: Wanted) -> tuple[ServedFile, ...]:
    """Return each model with its name and artifact, which is made if there is none yet.

    Raises:
        GraftcamError: Two models have one name, a name is none for an address, or a model cannot
            be found or exported.
    """
    from ..runtime.tools.serve.settings import ServedFile

    split = [_split(model) for model in models]
    names = [name for name, _ in split]
    for name in names:
        if names.count(name) > 1:
            raise GraftcamError(
                f"two models are called '{name}'; give one of them another name: OTHER=MODEL"
            )
    return tuple(
        ServedFile(name, str(artifact_of(source, wanted, (), 1).absolute()))
        for name, source in split
    )


def _split(model: str) -> tuple[str, str]:
    """Return the name of a model in addresses, and the model."""
    name, equals, source = model.partition("=")
    if equals and source and not Path(model).exists():
        if not _NAME.fullmatch(name):
            raise GraftcamError(
                f"the model cannot be called '{name}': the name becomes a part of addresses; use "
                "letters, digits, '.', '_' and '-'"
            )
        return name, source
    stem = re.sub(r"[^\w.-]", "-", Path(model.rpartition(":")[2]).stem, flags=re.ASCII)
    return stem.lstrip("-._") or "model", model
