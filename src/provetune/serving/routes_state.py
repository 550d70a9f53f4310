"""Models, health, readiness, metrics, the OpenAPI document."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from provetune.serving.fleet import Served
from provetune.serving.gateway import Gateway
from provetune.serving.openapi import document
from provetune.serving.problems import Problem


@dataclass(frozen=True)
class StateRoutes:
    """The routes over one gateway."""

    gateway: Gateway
    jobs: bool = False
    began: int = field(default_factory=lambda: int(time.time()))

    async def models(self, request: Request) -> Response:
        """What may be asked for: the public name, and every release beside it."""
        self.gateway.caller(request, "models")
        fleet = self.gateway.fleet
        roles = {served.name: route for route, served in fleet.lineup.others.items()} | {fleet.lineup.champion.name: "champion"}
        listed = [self._model(name, roles.get(name, "champion")) for name in fleet.names]
        return JSONResponse({"object": "list", "data": listed})

    async def model(self, request: Request) -> Response:
        """One of them."""
        self.gateway.caller(request, "models")
        name = request.path_params["name"]
        found = await self.gateway.tuned(name)
        if found is not None:
            return JSONResponse(self._model(name, "tuned by a job", found))
        route, served = self.gateway.fleet.choose(name, "")
        return JSONResponse(self._model(name, route, served))

    def _model(self, name: str, role: str, served: Served | None = None) -> dict[str, object]:
        served = served or next((one for one in self.gateway.fleet.lineup.all if one.name == name), self.gateway.fleet.lineup.champion)
        more = {"release": served.release, "candidate": served.candidate.fingerprint, "role": role}
        return {"id": name, "object": "model", "created": self.began, "owned_by": "provetune", "provetune": more}

    async def healthz(self, request: Request) -> Response:
        """The process answers."""
        return PlainTextResponse("ok\n")

    async def readyz(self, request: Request) -> Response:
        """Whether requests should be sent here: a completion came back lately, and it is not going down."""
        ready = self.gateway.healthy and not self.gateway.admission.draining
        return PlainTextResponse("ready\n" if ready else "not ready\n", 200 if ready else 503)

    async def metrics(self, request: Request) -> Response:
        """Figures for Prometheus."""
        self.gateway.caller(request, "metrics")
        return PlainTextResponse(self.gateway.figures.text(self.gateway.gauges), media_type="text/plain; version=0.0.4")

    async def openapi(self, request: Request) -> Response:
        """The document of all routes."""
        return JSONResponse(document(jobs=self.jobs))


async def told(request: Request, error: Exception) -> Response:
    """A Problem as its answer."""
    assert isinstance(error, Problem)
    return error.response()


async def no_such_route(request: Request, error: Exception) -> Response:
    """An address or a method that is not served."""
    assert isinstance(error, HTTPException)
    status = error.status_code
    words = "this address is not served; /openapi.json lists those that are" if status == 404 else f"{request.method} is not served here"
    return Problem(status, words, headers=dict(error.headers or {})).response()


async def broken(request: Request, error: Exception) -> Response:
    """A bug: the client is told nothing of its inside."""
    return Problem(500, f"this is a bug of the gateway ({type(error).__name__}); its log has the traceback").response()
