"""`/v1/files` and `/v1/fine_tuning/jobs`, in OpenAI's form."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from python_multipart.exceptions import MultipartParseError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message

from provetune.records.keys import Scope
from provetune.serving.bodies import read_body, validated
from provetune.serving.bridge import Bridge
from provetune.serving.bridge_requests import JobAsked
from provetune.serving.gateway import Gateway
from provetune.serving.problems import Problem, invalid

LARGEST_PAGE = 1_000
UPLOAD_S = 600.0


@dataclass(frozen=True)
class JobRoutes:
    """The routes over one bridge."""

    gateway: Gateway
    bridge: Bridge

    @property
    def routes(self) -> list[Route]:
        """All of them."""
        job = "/v1/fine_tuning/jobs/{job}"
        return [
            Route("/v1/files", self.upload, methods=["POST"]),
            Route("/v1/files", self.files, methods=["GET"]),
            Route("/v1/files/{file}", self.file, methods=["GET"]),
            Route("/v1/files/{file}", self.delete, methods=["DELETE"]),
            Route("/v1/files/{file}/content", self.content, methods=["GET"]),
            Route("/v1/fine_tuning/jobs", self.create, methods=["POST"]),
            Route("/v1/fine_tuning/jobs", self.jobs, methods=["GET"]),
            Route(job, self.job, methods=["GET"]),
            Route(f"{job}/events", self.events, methods=["GET"]),
            Route(f"{job}/checkpoints", self.checkpoints, methods=["GET"]),
            Route(f"{job}/cancel", self.cancel, methods=["POST"]),
        ]

    async def upload(self, request: Request) -> Response:
        """Take a file."""
        caller = self.gateway.caller(request, "files")
        with self.gateway.admission.admitted(caller):
            return JSONResponse(await self._uploaded(request))

    async def _uploaded(self, request: Request) -> dict[str, Any]:
        limit = self.gateway.settings.file_bytes
        if int(request.headers.get("content-length", "0")) > limit:
            raise _too_large(limit)
        counted = Request(request.scope, _counted(request, limit))
        try:
            async with asyncio.timeout(UPLOAD_S), counted.form(max_files=1, max_fields=8, max_part_size=10_000) as form:
                file, purpose = form.get("file"), form.get("purpose")
                if not isinstance(file, UploadFile) or purpose != "fine-tune":
                    raise invalid("wanted a multipart form with `file` and the purpose fine-tune", "purpose")
                return await asyncio.to_thread(self._kept, file)
        except TimeoutError:
            raise Problem(408, f"the upload took longer than {UPLOAD_S:g} s", headers={"connection": "close"}) from None
        except HTTPException as error:
            raise invalid(f"the body is no multipart form ({error.detail})") from None
        except (MultipartParseError, AssertionError, UnicodeDecodeError) as error:
            raise invalid(f"the body is no multipart form ({error})") from None

    def _kept(self, file: UploadFile) -> dict[str, Any]:
        self.bridge.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self.bridge.folder, delete=False) as received:
            while chunk := file.file.read(1 << 20):
                received.write(chunk)
        return self.bridge.keep_file(file.filename or "", "fine-tune", Path(received.name))

    async def files(self, request: Request) -> Response:
        """All files."""
        return await self._list(request, "files", self.bridge.files)

    async def file(self, request: Request) -> Response:
        """One file."""
        return await self._one(request, "files", lambda: self.bridge.file(request.path_params["file"]))

    async def delete(self, request: Request) -> Response:
        """Delete a file."""
        name = request.path_params["file"]

        def delete() -> dict[str, Any]:
            self.bridge.delete_file(name)
            return {"id": name, "object": "file", "deleted": True}

        return await self._one(request, "files", delete)

    async def content(self, request: Request) -> Response:
        """What a file holds."""
        self.gateway.caller(request, "files")
        return FileResponse(self.bridge.content(request.path_params["file"]), media_type="application/octet-stream")

    async def create(self, request: Request) -> Response:
        """Start a job."""
        caller = self.gateway.caller(request, "jobs")
        with self.gateway.admission.admitted(caller):
            content = await read_body(request, self.gateway.settings.body_bytes, self.gateway.settings.body_s)
            asked = validated(JobAsked, content)
            return JSONResponse(await asyncio.to_thread(self.bridge.create, asked))

    async def jobs(self, request: Request) -> Response:
        """All jobs."""
        return await self._list(request, "jobs", self.bridge.all_jobs)

    async def job(self, request: Request) -> Response:
        """One job."""
        return await self._one(request, "jobs", lambda: self.bridge.job(request.path_params["job"]))

    async def cancel(self, request: Request) -> Response:
        """Stop a job."""
        return await self._one(request, "jobs", lambda: self.bridge.cancel(request.path_params["job"]))

    async def events(self, request: Request) -> Response:
        """What happened."""
        return await self._list(request, "jobs", lambda: self.bridge.events(request.path_params["job"]))

    async def checkpoints(self, request: Request) -> Response:
        """Looks at the validation rows."""
        return await self._list(request, "jobs", lambda: self.bridge.checkpoints(request.path_params["job"]))

    async def _one(self, request: Request, scope: Scope, read: Callable[[], dict[str, Any]]) -> Response:
        self.gateway.caller(request, scope)
        return JSONResponse(await asyncio.to_thread(read))

    async def _list(self, request: Request, scope: Scope, read: Callable[[], list[dict[str, Any]]]) -> Response:
        self.gateway.caller(request, scope)
        limit, after = request.query_params.get("limit", "20"), request.query_params.get("after")
        if not (limit.isascii() and limit.isdecimal() and len(limit) < 6 and 1 <= int(limit) <= LARGEST_PAGE):
            raise invalid(f"limit: wanted a number from 1 to {LARGEST_PAGE:,}", "limit")
        found = await asyncio.to_thread(read)
        return JSONResponse(page(found, int(limit), after))


def page(found: Sequence[dict[str, Any]], limit: int, after: str | None) -> dict[str, Any]:
    """One page of a list, beginning behind the id `after`; Problem 400 where the list has no such id."""
    ids = [one["id"] for one in found]
    if after is not None and after not in ids:
        raise invalid("after: no such id in this list", "after")
    begin = ids.index(after) + 1 if after is not None else 0
    data = list(found[begin : begin + limit])
    more = begin + limit < len(found)
    edges = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
    return {"object": "list", "data": data, "has_more": more, **edges}


def _counted(request: Request, limit: int) -> Callable[[], Any]:
    seen = 0

    async def receive() -> Message:
        nonlocal seen
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        seen += len(message.get("body", b""))
        if seen > limit:
            raise _too_large(limit)
        return message

    return receive


def _too_large(limit: int) -> Problem:
    return Problem(413, f"the file is larger than {limit:,} bytes", code="body_too_large", headers={"connection": "close"})
