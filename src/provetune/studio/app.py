"""The studio as an ASGI application: addresses, forms, pages."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from provetune.errors import FolderError, ProvetuneError, SpecError
from provetune.local_page import content_policy, form_of
from provetune.spec.text import SPEC_FILE, load_spec
from provetune.store import stop_trainings, write_atomic
from provetune.studio import screens
from provetune.studio.actions import ACTIONS, JOBS, Desk
from provetune.studio.guard import CSRF_COOKIE, CSRF_HEADER, Guard, form_key, is_own_form
from provetune.studio.reading import evidence_of, run_named, runs_of
from provetune.studio.render import command, environment, local, raw, sections
from provetune.studio.setup import Question, set_up
from provetune.studio.workspace import DRAFT, Workspace
from provetune.workflow.doctor import examine

LARGEST_FORM = 300_000
MODE_COOKIE = "provetune_studio_mode"
LOOK_EVERY_S = 0.7
"""How often a live page looks at the run folder; it is sent only what changed."""
Answer = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Studio:
    """Pages over one workspace; `environment` is that of the processes it starts."""

    workspace: Workspace
    environment: Mapping[str, str]

    @cached_property
    def desk(self) -> Desk:
        """The jobs of all projects."""
        return Desk(self.environment)

    def app(self) -> Starlette:
        """The application without its guard."""
        one = "/p/{project}"
        return Starlette(
            routes=[
                Route("/", _said(self, self.home)),
                Route("/doctor", _said(self, self.doctor)),
                Route("/mode", _said(self, self.mode), methods=["POST"]),
                Route("/new", _said(self, self.new), methods=["POST"]),
                Route("/upload", _said(self, self.upload), methods=["POST"]),
                Route(one, _said(self, self.front)),
                Route(f"{one}/setup", _said(self, self.setup), methods=["GET", "POST"]),
                Route(f"{one}/settings", _said(self, self.settings), methods=["GET", "POST"]),
                Route(f"{one}/do/{{action}}", _said(self, self.act), methods=["POST"]),
                Route(f"{one}/stop/{{how}}", _said(self, self.stop), methods=["POST"]),
                Route(f"{one}/live", self.live),
                Route(f"{one}/page/{{kind}}", _said(self, self.page), methods=["GET", "POST"]),
                Route(f"{one}/jobs/{{job}}", _said(self, self.job)),
                Route(f"{one}/runs/{{run}}", _said(self, self.run)),
                Route(f"{one}/runs/{{run}}/{{file}}", _said(self, self.file)),
                Route(f"{one}/{{screen}}", _said(self, self.screen)),
            ]
        )

    # -- pages

    async def home(self, request: Request) -> Response:
        """All projects."""
        cards = await run_in_threadpool(lambda: [screens.card(*pair) for pair in self.workspace.projects().items()])
        return self.render(request, "home", cards=cards, files=self.workspace.files(), single=self.workspace.is_project)

    async def doctor(self, request: Request) -> Response:
        """What this machine has and lacks."""
        found = await run_in_threadpool(examine, self.workspace.folder)
        return self.render(request, "doctor", found=asdict(found), command="provetune doctor")

    async def front(self, request: Request) -> Response:
        """A project's own address leads to the screen that comes next."""
        folder = self._folder(request)
        step = (
            "setup" if not (folder / SPEC_FILE).is_file() else "verdict" if evidence_of(folder) else "train" if runs_of(folder) else "data"
        )
        return RedirectResponse(f"/p/{request.path_params['project']}/{step}", 303)

    async def screen(self, request: Request) -> Response:
        """One screen of a project."""
        name = request.path_params["screen"]
        if name not in screens.SCREENS:
            raise FolderError(f"found no screen named {name[:40]!r}; wanted one of {', '.join(screens.SCREENS)}")
        return await self._screen(request, name, dict(request.query_params))

    async def run(self, request: Request) -> Response:
        """One run."""
        return await self._screen(request, "train", {"run": request.path_params["run"]})

    async def _screen(self, request: Request, name: str, query: dict[str, str]) -> Response:
        folder = self._folder(request)
        if not (folder / SPEC_FILE).is_file():
            return RedirectResponse(f"/p/{request.path_params['project']}/setup", 303)
        values = await run_in_threadpool(screens.SCREENS[name], folder, query, self.desk)
        shown: dict[str, Any] = {
            "active": self.desk.active(folder),
            "yaml": sections(folder, screens.SECTIONS.get(name, ())),
            "raw": raw(values),
        }
        return self.render(request, name, **values, **shown, command=command(folder, screens.COMMANDS[name]))

    async def job(self, request: Request) -> Response:
        """One job: what was asked, how it stands, what it says."""
        folder = self._folder(request)
        found = self.desk.shown(folder / JOBS, request.path_params["job"])
        then = next((one.then for one in ACTIONS.values() if found.commands[0].startswith(f"provetune {one.words[0]}")), "")
        return self.render(
            request, "job", job=found, then=then, documents=[json.dumps(one, indent=2, ensure_ascii=False) for one in found.documents]
        )

    async def file(self, request: Request) -> Response:
        """Report or evidence of a run, as they lie there; nothing else."""
        run, name = run_named(self._folder(request), request.path_params["run"]), request.path_params["file"]
        if name not in ("report.html", "evidence.json", "resolved.yaml") or not (run / name).is_file():
            raise FolderError(f"found no file {name[:40]!r} of this run to show; wanted report.html, evidence.json or resolved.yaml")
        kind = "text/html" if name == "report.html" else "text/plain"
        policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox allow-same-origin"
        return FileResponse(run / name, media_type=kind, headers={"Content-Security-Policy": policy})

    # -- actions

    async def mode(self, request: Request) -> Response:
        """Guided or expert."""
        form = await self._form(request)
        response = RedirectResponse(local(form.get("back", "/")), 303)
        wanted = "expert" if form.get("mode") == "expert" else "guided"
        response.set_cookie(MODE_COOKIE, wanted, max_age=31_536_000, httponly=True, samesite="strict")
        return response

    async def new(self, request: Request) -> Response:
        """A project from a file that lies in the folder."""
        form = await self._form(request)
        name = await run_in_threadpool(self.workspace.begin_with, form.get("name", ""), form.get("file", ""))
        return RedirectResponse(f"/p/{name}/setup", 303)

    async def upload(self, request: Request) -> Response:
        """A project from a file that is sent as the body; answers where to go on."""
        if not is_own_form(request, request.headers.get(CSRF_HEADER, "")):
            raise SpecError("this form was not made by the studio for this browser; reload the page and send it again")
        query = request.query_params
        name = await self.workspace.receive(query.get("name", ""), query.get("file", ""), request.stream())
        return JSONResponse({"go": f"/p/{name}/setup"})

    async def setup(self, request: Request) -> Response:
        """What is not sure about a new file is asked; then the project file is written."""
        folder, name = self._folder(request), request.path_params["project"]
        if (folder / SPEC_FILE).is_file():
            return RedirectResponse(f"/p/{name}/data", 303)
        file = next((one for one in sorted((folder / DRAFT).iterdir()) if one.is_file()), None)
        if file is None:
            raise FolderError(f"{folder / DRAFT}: the file is gone; delete {folder} and begin again")
        if request.method != "POST":
            return self.render(request, "setup", file=file.name, question=None, form={})
        form = await self._form(request)
        try:
            found = await run_in_threadpool(set_up, folder, file, form)
        except ProvetuneError as error:
            return self.render(request, "setup", file=file.name, question=None, form=form, alert=str(error), status=400)
        if isinstance(found, Question):
            return self.render(request, "setup", file=file.name, question=found, form=form)
        return RedirectResponse(f"/p/{name}/data", 303)

    async def settings(self, request: Request) -> Response:
        """The project file, to read and to change; what does not hold is not written."""
        folder = self._folder(request)
        file, alert, status = folder / SPEC_FILE, "", 200
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        if request.method == "POST":
            text = (await self._form(request)).get("text", "")
            draft = folder / ".provetune" / f"draft-{secrets.token_hex(4)}.yaml"
            try:
                write_atomic(draft, text)
                await run_in_threadpool(load_spec, draft)
                write_atomic(file, text)
                return RedirectResponse(f"/p/{request.path_params['project']}/data", 303)
            except ProvetuneError as error:
                alert, status = str(error).replace(str(draft), SPEC_FILE), 400
            finally:
                draft.unlink(missing_ok=True)
        return self.render(request, "settings", status=status, text=text, alert=alert, command=command(folder, "schema"))

    async def act(self, request: Request) -> Response:
        """Start a command as a process."""
        await self._form(request)
        folder, action = self._folder(request), request.path_params["action"]
        found = evidence_of(folder) if action == "verify" else None
        job = await run_in_threadpool(self.desk.start, folder, action, None if found is None else found[0].resolve() / "evidence.json")
        where = "train" if ACTIONS[action].then == "train" else f"jobs/{job}"
        return RedirectResponse(f"/p/{request.path_params['project']}/{where}", 303)

    async def stop(self, request: Request) -> Response:
        """Stop the training and keep its best weights, or cancel the job with saved state."""
        await self._form(request)
        folder = self._folder(request)
        active, runs = self.desk.active(folder), runs_of(folder)
        if request.path_params["how"] == "cancel" and active is not None:
            self.desk.jobs(folder / JOBS).cancel(active.state.id)
        elif request.path_params["how"] == "keep-best" and not (runs and stop_trainings(runs[0])):
            raise SpecError("nothing is being trained at this moment, so there are no best weights to keep; cancel ends the command")
        return RedirectResponse(f"/p/{request.path_params['project']}/train", 303)

    async def page(self, request: Request) -> Response:
        """The page of `vote` or `label` for one person: started on the first call, then its address."""
        folder, kind = self._folder(request), request.path_params["kind"]
        here = f"/p/{request.path_params['project']}/page/{kind}"
        if request.method == "POST":
            person = (await self._form(request)).get("person", "").strip()
            job = await run_in_threadpool(self.desk.open_page, folder, kind, person)
            return RedirectResponse(f"{here}?{urlencode({'person': person, 'job': job})}", 303)
        person, job = request.query_params.get("person", ""), request.query_params.get("job", "")
        address, found = self.desk.page_address(folder, kind, person, job)
        return self.render(request, "page", kind=kind, person=person, address=address, job=found)

    async def live(self, request: Request) -> Response:
        """The live part of the training screen, sent again whenever it changes."""
        try:
            folder = self._folder(request)
        except ProvetuneError as error:
            return HTMLResponse(str(error), 404)

        async def parts() -> AsyncIterator[str]:
            last = ""
            while not await request.is_disconnected():
                values = await run_in_threadpool(screens.train, folder, {}, self.desk)
                text = self.template("live").render(self._on_every_page(request), **values)
                digest = hashlib.sha256(text.encode()).hexdigest()
                if digest != last:
                    last = digest
                    yield "event: part\n" + "".join(f"data: {line}\n" for line in text.split("\n")) + "\n"
                if values["job"] is None or not values["job"].active:
                    yield "event: end\ndata: \n\n"
                    return
                await asyncio.sleep(LOOK_EVERY_S)

        return StreamingResponse(parts(), media_type="text/event-stream")

    # -- what all pages share

    def render(self, request: Request, name: str, status: int = 200, **values: Any) -> Response:
        """A page by the name of its template, with a policy that lets nothing in from outside."""
        nonce, key = secrets.token_urlsafe(16), form_key(request)
        shown = {"command": "", "yaml": "", "raw": "", "active": None, "alert": "", **values}
        text = self.template(name).render(self._on_every_page(request), nonce=nonce, key=key, screen_name=name, **shown)
        response = HTMLResponse(text, status, {"Content-Security-Policy": content_policy(nonce, connect_src="'self'")})
        response.set_cookie(CSRF_COOKIE, key, httponly=True, samesite="strict")
        return response

    def _on_every_page(self, request: Request) -> dict[str, Any]:
        return {
            "expert": request.cookies.get(MODE_COOKIE) == "expert",
            "project": request.path_params.get("project"),
            "here": request.url.path,
            "titles": screens.TITLES,
            "actions": ACTIONS,
        }

    def template(self, name: str) -> Any:
        """A template of the studio."""
        return environment().get_template(f"{name}.html.jinja")

    def _folder(self, request: Request) -> Path:
        return self.workspace.project(request.path_params["project"])

    async def _form(self, request: Request) -> dict[str, str]:
        form = await form_of(request, LARGEST_FORM, 40)
        if form is None or not is_own_form(request, form.get("key", "")):
            raise SpecError("this form was not made by the studio for this browser, or is too large; reload the page and send it again")
        return form


def guarded(studio: Studio, hosts: frozenset[str], token: str | None = None) -> Guard:
    """The whole application."""
    return Guard(studio.app(), hosts, token)


def _said(studio: Studio, answer: Answer) -> Answer:
    """Errors as a page that says what was found and what helps."""

    async def answered(request: Request) -> Response:
        try:
            return await answer(request)
        except ProvetuneError as error:
            status = 404 if isinstance(error, FolderError) else 400
            if request.url.path == "/upload":
                return JSONResponse({"alert": str(error)}, status)
            return studio.render(request, "refused", status=status, reason=str(error))

    return answered
