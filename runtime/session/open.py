"""`open_session` opens a file in ONNX Runtime, on the requested provider."""

from __future__ import annotations

import contextlib
import io
import logging
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..errors import SessionError, first_line
from ..onnx_file.check import check_file
from .cuda_graph import Bound
from .engines.table import ENGINES
from .optimized_for import Target, read_target
from .providers import (
    CUDA,
    Provider,
    choose_providers,
    cuda_options,
    install,
    load_onnxruntime,
)

logger = logging.getLogger("graftcam")

Configure = Callable[[Any], None]
Run = Callable[[Sequence[str], dict[str, NDArray[Any]]], list[NDArray[Any]]]


def open_session(
    path: Path,
    providers: str | Sequence[Provider] | None,
    threads: int | None,
    configure: Configure | None,
    engine: str | None = None,
) -> tuple[Any, Run]:
    """Return an InferenceSession, or another engine's session, and the function that runs it.

    See ``Explainer`` and ``Model`` for the arguments and errors.
    """
    if engine is None and (engine := _engine_among(providers)) is not None:
        providers = None
    other = ENGINES.get(engine or "")
    ort = load_onnxruntime() if other is None else None
    if path.is_dir():
        raise SessionError(f"{path} is a folder, no model; give an artifact of `graftcam export`")
    if not path.is_file():
        raise SessionError(f"{path}: no such file; make an artifact with `graftcam export`")
    check_file(path, SessionError)
    if engine is not None and providers is not None:
        raise SessionError("providers are ONNX Runtime's: give them, or an engine")
    if other is not None:
        session = other.open(path, threads)
        return session, session.run
    assert ort is not None
    providers = engine or providers
    target = read_target(path)
    if target is not None and providers is None:
        providers = target.provider
    (name, options), *others = choose_providers(providers, ort.get_available_providers())
    options = cuda_options(options) if name == CUDA else options
    captures = str(options.get("enable_cuda_graph", False)).lower() in ("1", "true")
    make = partial(_open, ort, path, threads, configure, target)
    try:
        session = make([(name, options), *others])
    except SessionError as error:
        if name != CUDA or not captures or "graph capture" not in str(error):
            raise
        logger.warning("%s; running without: export it with profile='cuda'", error)
        captures = False
        plain = {key: value for key, value in options.items() if key != "enable_cuda_graph"}
        session = make([(name, plain), *others])
    provider = session.get_providers()[0]
    if provider != name:
        required = providers is not None and provider not in dict(others)
        _report_fallback(ort, name, provider, required=required)
    if not captures or name != CUDA or provider != CUDA:
        return session, session.run
    return session, Bound(ort, session, "cuda", int(options.get("device_id", 0))).run


def _engine_among(providers: str | Sequence[Provider] | None) -> str | None:
    """The engine that is meant where a provider should stand, as on the command line."""
    names = [providers] if isinstance(providers, str) else [*(providers or ())]
    if len(names) != 1 or not isinstance(names[0], str) or names[0] not in ENGINES:
        return None
    try:  # a build of ONNX Runtime may have a provider of that name
        choose_providers(names[0], load_onnxruntime().get_available_providers())
    except SessionError:
        return names[0]
    return None


def _open(
    ort: Any,
    path: Path,
    threads: int | None,
    configure: Configure | None,
    target: Target | None,
    providers: list[tuple[str, dict[str, Any]]],
) -> Any:
    """Create the InferenceSession; a file that is not a model gives an error of one line."""
    options = ort.SessionOptions()
    # Otherwise an optional class index gives a warning at each load. Errors are still shown.
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    if configure is not None:
        configure(options)
    if target is not None:
        target.check(path, Target.here(ort, providers[0][0], layouts=target.layouts))
        if target.layouts:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if providers[0][0] == CUDA:
        _load_cuda(ort)
    try:
        return ort.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # ONNX Runtime's exceptions share no base of their own
        raise SessionError(f"{path}: ONNX Runtime cannot load it: {first_line(error)}") from error


def _load_cuda(ort: Any) -> str:
    """Load the CUDA libraries of the nvidia packages; return the names of missing ones."""
    if not hasattr(ort, "preload_dlls"):  # ONNX Runtime before 1.21
        return ""
    # preload_dlls prints the names of missing libraries.
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        ort.preload_dlls()
    text = printed.getvalue()
    logger.debug("loading CUDA: %s", text.strip())
    return ", ".join(dict.fromkeys(re.findall(r"lib[\w-]+\.so[.\d]*|\w+\.dll", text)))


def _report_fallback(ort: Any, failed: str, used: str, *, required: bool) -> None:
    """Report that a provider did not start: an error if the caller named no other provider."""
    trouble = f"{failed} is installed but did not start; check its driver and libraries"
    missing = _load_cuda(ort) if failed == CUDA else ""
    if missing:
        trouble += f" (missing: {missing}; {install('gpu')} installs those of CUDA)"
    if required:
        raise SessionError(f"{trouble}, or choose another provider")
    logger.warning("%s; running on %s", trouble, used)
