"""These functions answer the addresses of the Open Inference Protocol, version 2."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ...inputs.selection import check_name
from ...session.session import Session
from ...version import __version__
from .api import service_of
from .body import read_body
from .refusals import RETRY, RefusedError
from .tensors import LENGTH, datatype_of, read_inference, write_inference
from .waiting import result_of


async def server(_request: Request) -> Response:
    """Describe the service."""
    return JSONResponse(
        {"name": "graftcam", "version": __version__, "extensions": ["binary_tensor_data"]}
    )


async def server_live(_request: Request) -> Response:
    """Say that the process runs."""
    return JSONResponse({"live": True})


async def server_ready(request: Request) -> Response:
    """Say whether all models are ready."""
    if not service_of(request).ready:
        raise RefusedError(503, "the service is loading or stopping", RETRY)
    return JSONResponse({"ready": True})


async def model_metadata(request: Request) -> Response:
    """Describe the inputs and outputs of an artifact."""
    model = service_of(request).model(request.path_params["name"])
    session = model.steps.session
    return JSONResponse(
        {
            "name": model.name,
            "versions": ["1"],
            "platform": "onnxruntime_onnx",
            "inputs": [
                _port(session, name, port.shape) | ({} if port.required else {"optional": True})
                for name, port in session.inputs.items()
            ],
            "outputs": [_port(session, name, shape) for name, shape in session.outputs.items()],
        }
    )


async def model_ready(request: Request) -> Response:
    """Say whether a model is ready."""
    service = service_of(request)
    model = service.model(request.path_params["name"])
    if not service.ready:
        raise RefusedError(503, "the service is stopping", RETRY)
    return JSONResponse({"name": model.name, "ready": True})


async def infer(request: Request) -> Response:
    """Run an artifact on tensors."""
    service = service_of(request)
    limits = service.settings.limits
    model = service.model(request.path_params["name"])
    with service.place(), service.memory.account() as account:
        body = await read_body(request, limits, account)
        asked = await service.do(read_inference, body, request.headers.get(LENGTH))
        names = asked.outputs or default_outputs(model.steps.session)
        for name in names:
            check_name("output", name, model.steps.session.outputs)
        job = await service.do(model.infer, asked.arrays, names)
        found = await result_of(job, request, limits.timeout)
        body, size = await service.do(write_inference, asked, model.name, found)
    if size is None:
        return Response(body, media_type="application/json")
    return Response(body, media_type="application/octet-stream", headers={LENGTH: str(size)})


def default_outputs(session: Session) -> list[str]:
    """Return the outputs that an answer has if none are named.

    Activations and gradients, which are large, are not among them.
    """
    large = {name for layer in session.spec.layers for name in (layer.activations, layer.gradients)}
    return [name for name in session.outputs if name not in large]


def _port(session: Session, name: str, shape: Any) -> dict[str, Any]:
    extents = [-1 if extent is None else extent for extent in shape]
    return {"name": name, "datatype": datatype_of(session.types[name]), "shape": extents}
