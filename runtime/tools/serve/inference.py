"""These functions answer the addresses of the Open Inference Protocol, version 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ...inputs.selection import check_name
from ...session.session import Session
from ...version import __version__
from .api import service_of
from .body import Account, read_body
from .model import ServedModel
from .refusals import RETRY, RefusedError
from .service import Service
from .tensors import DATATYPES, LENGTH, datatype_of, read_inference, write_inference
from .waiting import result_of, within


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
        work = _inferred(service, model, account, body, request.headers.get(LENGTH))
        body, size = await within(limits.timeout, request, work)
    if size is None:
        return Response(body, media_type="application/json")
    return Response(body, media_type="application/octet-stream", headers={LENGTH: str(size)})


async def _inferred(
    service: Service, model: ServedModel, account: Account, body: bytes, length: str | None
) -> tuple[bytes, int | None]:
    """Return the body of the answer to a body, and the size of its JSON if more follows it."""
    session = model.steps.session
    asked = await service.do(read_inference, body, length)
    # Text can be a quarter of the numbers that it stands for.
    account.take(sum(array.nbytes for array in asked.arrays.values()))
    _check_count(session, asked.arrays, service.settings.limits.top)
    names = asked.outputs or default_outputs(session)
    for name in names:
        check_name("output", name, session.outputs)
        if datatype_of(session.types[name]) not in DATATYPES:
            raise RefusedError(
                400, f"output '{name}' is {session.types[name]}, which is not sent; name others"
            )
    found = await result_of(await service.do(model.infer, asked.arrays, names))
    account.take(sum(array.nbytes for array in found.values()))
    return await service.do(write_inference, asked, model.name, found)


def _check_count(session: Session, arrays: Mapping[str, NDArray[Any]], most: int) -> None:
    """Refuse more scores for each image than a request may explain: each takes its gradients."""
    for name in session.spec.own_inputs:
        shape = arrays[name].shape if name in arrays else ()
        if len(shape) > 1 and shape[1] > most:
            raise RefusedError(
                400, f"{name} has {shape[1]} scores for each image; give at most {most}"
            )


def default_outputs(session: Session) -> list[str]:
    """Return the outputs that an answer has if none are named.

    Activations and gradients, which are large, are not among them, nor are texts.
    """
    large = {name for layer in session.spec.layers for name in (layer.activations, layer.gradients)}
    return [
        name
        for name in session.outputs
        if name not in large and datatype_of(session.types[name]) in DATATYPES
    ]


def _port(session: Session, name: str, shape: Any) -> dict[str, Any]:
    extents = [-1 if extent is None else extent for extent in shape]
    return {"name": name, "datatype": datatype_of(session.types[name]), "shape": extents}
