"""`application` puts the addresses together: one ASGI application, whatever runs it."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from . import api, inference, pages
from .guard import Guard
from .metrics import CONTENT_TYPE
from .openapi import document
from .refusals import RETRY, RefusedError
from .service import Service


def application(service: Service) -> Starlette:
    """Return the application of a service, whose models may still be loading."""
    middleware = [Middleware(Guard, service=service)]
    if service.settings.cors is not None:
        middleware.insert(
            0,
            Middleware(
                CORSMiddleware, allow_origins=[service.settings.cors],
                allow_methods=["GET", "POST"], allow_headers=["*"],
            )
        )  # fmt: skip
    handlers: Any = {HTTPException: _http_error}
    app = Starlette(routes=routes(), middleware=middleware, exception_handlers=handlers)
    app.state.service = service
    return app


def routes() -> list[BaseRoute]:
    """Return the addresses."""
    model = "/v2/models/{name}"
    return [
        Route("/", pages.page),
        Route("/page/{file}", pages.page_file),
        Route("/healthz", live),
        Route("/readyz", ready),
        Route("/metrics", metrics),
        Route("/openapi.json", openapi),
        Route("/api/models", api.list_models),
        Route("/api/models/{name}", api.show_model),
        Route("/api/models/{name}/explain", api.explain, methods=["POST"]),
        Route("/v2", inference.server),
        Route("/v2/health/live", inference.server_live),
        Route("/v2/health/ready", inference.server_ready),
        Route(model, inference.model_metadata),
        Route(f"{model}/ready", inference.model_ready),
        Route(f"{model}/infer", inference.infer, methods=["POST"]),
    ]


async def live(_request: Request) -> Response:
    """Say that the process runs."""
    return JSONResponse({"status": "live"})


async def ready(request: Request) -> Response:
    """Say whether requests are accepted."""
    service = api.service_of(request)
    if service.ready:
        return JSONResponse({"status": "ready"})
    raise RefusedError(
        503, f"the service is {'stopping' if service.stopping else 'loading'}", RETRY
    )


async def metrics(request: Request) -> Response:
    """Answer with the metrics."""
    text = api.service_of(request).metrics.text()
    return Response(text, headers={"Content-Type": CONTENT_TYPE})


async def openapi(_request: Request) -> Response:
    """Answer with the description of the interface."""
    return JSONResponse(document())


async def _http_error(_request: Request, error: Exception) -> Response:
    """Answer to an unknown address or a method that it does not take."""
    assert isinstance(error, HTTPException)
    return JSONResponse(
        {"error": error.detail}, status_code=error.status_code, headers=error.headers
    )
