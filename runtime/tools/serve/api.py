"""These functions answer the addresses below ``/api``: the models, and explanations of images."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ...errors import ImageError
from ...inputs.image_files import check_pixels
from ...inputs.image_sizes import image_size
from ...inputs.tensor_files import NPY, decode_array
from ...plain_text import clip, plain
from ...session.session import Port
from .answers import answer, picture_of, size_of
from .asked import Asked, read_options
from .body import Form, read_body, read_form
from .model import Explained, ServedModel
from .options import OPTIONS, WEIGHTS, numbers_of
from .refusals import RefusedError
from .service import Service
from .settings import Limits
from .waiting import result_of, within

_NAME = 120  # characters of an image's name


def service_of(request: Request) -> Service:
    """Return the service behind an application."""
    return request.app.state.service


async def list_models(request: Request) -> Response:
    """Describe every model."""
    service = service_of(request)
    return JSONResponse({"models": [service.description(name) for name in service.names]})


async def show_model(request: Request) -> Response:
    """Describe one model."""
    return JSONResponse(service_of(request).description(request.path_params["name"]))


async def explain(request: Request) -> Response:
    """Explain one image."""
    since, service = time.perf_counter(), service_of(request)
    limits = service.settings.limits
    model = service.model(request.path_params["name"])
    with service.place(), service.memory.account() as account:
        form = await read_form(request.headers, await read_body(request, limits, account))
        query = request.query_params.multi_items()
        asked = _asked(model, form, query, limits)
        values = _values(form, query, model)
        plan = model.plan(asked.request, asked.key)
        shape = plan.selection.shape[1:]  # which those of one run share
        if shape[0] > limits.top:
            raise RefusedError(400, f"{WEIGHTS} has {shape[0]} scores; give at most {limits.top}")
        account.take(plan.selection.nbytes)

        async def explained() -> dict[str, Any] | bytes:
            async with service.pixels.take(_pixels(values, limits.pixels)):
                question = await service.do(model.read, plan, values, _name(form.name))
                found = await result_of(model.ask(question, (asked.kind, shape)))
                if _wants_picture(request):
                    return await service.do(picture_of, found.explanation, asked)
                data = await service.do(answer, found.explanation, plan.session.spec, asked)
                return {**_head(model, found, since), **data}

        found = await within(limits.timeout, request, explained())
    if isinstance(found, bytes):
        return Response(found, media_type="image/png")
    return JSONResponse(found)


def _head(model: ServedModel, found: Explained, since: float) -> dict[str, Any]:
    """Return what an answer says about a request that came at ``since``."""
    height, width = size_of(found.explanation)
    return {
        "model": model.name,
        "image": {"name": found.explanation.name, "width": width, "height": height},
        "milliseconds": round((time.perf_counter() - since) * 1000, 3),
        "batch": found.batch,
    }


def _asked(
    model: ServedModel, form: Form, query: Sequence[tuple[str, str]], limits: Limits
) -> Asked:
    """Read the options of a request: all of its fields that are no inputs of the model."""
    inputs = _further(model).keys()
    fields = [*form.fields, *query]
    given: list[tuple[str, str | bytes]] = [
        (name, value) for name, value in fields if name not in inputs - OPTIONS.keys()
    ]
    if WEIGHTS in form.files and WEIGHTS not in inputs:
        given.append((WEIGHTS, form.files.pop(WEIGHTS)))
    return read_options(given, limits, detector=model.steps.session.spec.detector is not None)


def _wants_picture(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    return "image/png" in accepted and "json" not in accepted


def _further(model: ServedModel) -> dict[str, Port]:
    """Return the model's inputs beside the image, by name."""
    main = model.steps.reader.main
    return {port.name: port for port in model.steps.session.model_inputs if port.name != main}


def _values(form: Form, query: Sequence[tuple[str, str]], model: ServedModel) -> dict[str, Any]:
    """Return what a request sends for the model's inputs, by their names.

    Files are images or ``.npy`` arrays; other fields are numbers with commas between them.

    Raises:
        RefusedError: There is no image, or no such input.
        InputError: A field is not of numbers.
    """
    main, further = model.steps.reader.main, _further(model)
    files = {main if name == "image" else name: data for name, data in form.files.items()}
    if main not in files:
        raise RefusedError(
            400, "there is no image; send it as the file 'image' of a form, or as the body, with "
            "Content-Type: image/jpeg or image/png"
        )  # fmt: skip
    model.steps.reader.check_names(files)
    found: dict[str, Any] = {
        name: decode_array(data, name) if data.startswith(NPY) else data
        for name, data in files.items()
    }
    return found | {
        name: _numbers(name, text)
        for name, text in [*form.fields, *query]
        if name in further and name not in OPTIONS
    }


def _numbers(name: str, text: str) -> NDArray[np.float64]:
    try:
        return numbers_of(text)
    except ValueError:
        raise RefusedError(
            400, f"{name}={text[:80]!r} is no list of numbers such as 0,0.5,1"
        ) from None


def _pixels(values: Mapping[str, Any], most: int) -> int:
    """Return the number of pixels of all images, by their headers.

    Raises:
        RefusedError: One has too many (413).
    """
    total = 0
    for name, value in values.items():
        size = image_size(value) if isinstance(value, bytes) else None
        if size is not None:
            try:
                check_pixels(name, size, most)
            except ImageError as error:
                raise RefusedError(413, str(error)) from None
            total += size[0] * size[1]
    return total


def _name(file: str) -> str:
    """Return an image's name: its file's without folders and ending."""
    return clip(plain(PurePath(file.replace("\\", "/")).stem), _NAME) or "image"
