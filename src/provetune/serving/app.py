"""All routes of a gateway as one ASGI application."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp
from starlette.types import Scope as AsgiScope

from provetune.serving.bridge import Bridge
from provetune.serving.gateway import Gateway
from provetune.serving.guards import Guard
from provetune.serving.problems import Problem
from provetune.serving.routes_completions import CompletionRoutes
from provetune.serving.routes_feedback import FeedbackRoute
from provetune.serving.routes_jobs import JobRoutes
from provetune.serving.routes_state import StateRoutes, broken, no_such_route, told


def application(gateway: Gateway, bridge: Bridge | None = None) -> ASGIApp:
    """The application; with a `bridge` it takes files and fine-tuning jobs, too."""
    completions, state = CompletionRoutes(gateway), StateRoutes(gateway, jobs=bridge is not None)
    routes = [
        Route("/v1/chat/completions", completions.chat, methods=["POST"]),
        Route("/v1/completions", completions.complete, methods=["POST"]),
        Route("/v1/feedback", FeedbackRoute(gateway).post, methods=["POST"]),
        Route("/v1/models", state.models, methods=["GET"]),
        Route("/v1/models/{name:path}", state.model, methods=["GET"]),
        Route("/healthz", state.healthz, methods=["GET"]),
        Route("/readyz", state.readyz, methods=["GET"]),
        Route("/metrics", state.metrics, methods=["GET"]),
        Route("/openapi.json", state.openapi, methods=["GET"]),
    ]
    if bridge is not None:
        routes += JobRoutes(gateway, bridge).routes
    app = Starlette(routes=routes, exception_handlers={Problem: told, HTTPException: no_such_route, Exception: broken})

    def count(scope: AsgiScope, status: int) -> None:
        route = scope.get("route")
        gateway.figures.add("responses", path=route.path if isinstance(route, Route) else "none", status=str(status))

    return Guard(app, gateway.settings.hosts, gateway.settings.origins, count)
