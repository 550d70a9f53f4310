"""The labelling page: one row, its labels, a comment, skip, undo, progress, the guideline. For one annotator on this machine."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from provetune.errors import DataError, ProvetuneError
from provetune.labelling.agreement import agreement
from provetune.labelling.round import LONGEST_ANSWER, LONGEST_COMMENT, Round
from provetune.local_page import HEADERS, content_policy, form_of

LARGEST_BODY = 300_000
"""Bytes: the longest answer and comment at twelve bytes a character (an emoji, percent-encoded)."""
KEYS = 9
"""Labels up to this number have a digit as key; more have a filter instead."""


@dataclass(frozen=True)
class Access:
    """Who may come in: `key` opens the page once, from then on a cookie does; `port` is part of the only accepted host names."""

    port: int
    stop: Callable[[], None]
    key: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    cookie: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    @property
    def url(self) -> str:
        """The address with the key."""
        return f"http://127.0.0.1:{self.port}/start?key={self.key}"

    @property
    def hosts(self) -> tuple[str, str]:
        """Accepted values of the Host header: any other name that leads here is a rebinding attack."""
        return f"127.0.0.1:{self.port}", f"localhost:{self.port}"


def label_page(work: Round, access: Access, visible: Callable[[str], str]) -> Starlette:
    """The page as an ASGI application; `visible` makes unseen characters of untrusted text seen."""
    page = _Page(work, access, visible)
    routes = [
        Route("/start", page.guarded(page.start, inside=False)),
        Route("/", page.guarded(page.show)),
        Route("/vote", page.guarded(page.vote), methods=["POST"]),
        Route("/undo", page.guarded(page.undo), methods=["POST"]),
        Route("/again", page.guarded(page.again), methods=["POST"]),
        Route("/finish", page.guarded(page.finish), methods=["POST"]),
    ]
    return Starlette(routes=routes)


Answer = Callable[[Request], Awaitable[Response]]


class _Page:
    def __init__(self, work: Round, access: Access, visible: Callable[[str], str]) -> None:
        self.work, self.access = work, access
        self.spent = False
        self.templates = Environment(loader=PackageLoader("provetune.labelling"), autoescape=True, undefined=StrictUndefined)
        self.templates.filters["visible"] = visible
        self.templates.filters["breakable"] = lambda text: Markup("_<wbr>").join(visible(text).split("_"))
        self.guideline = guideline_html(work.guideline.text)

    def guarded(self, answer: Answer, *, inside: bool = True) -> Answer:
        """Refuse strange hosts, origins, keys and sizes before anything else; the same headers on every answer."""

        async def checked(request: Request) -> Response:
            refused = self._refusal(request, inside)
            try:
                response = self._refused(refused) if refused else await answer(request)
            except ProvetuneError as error:  # a full disk, a damaged log: said on the page, not in a traceback
                response = self._refused(f"Not saved: {error}.", 500)
            response.headers.update(HEADERS)
            return response

        return checked

    def _refusal(self, request: Request, inside: bool) -> str:
        host = request.headers.get("host", "")
        if host not in self.access.hosts:
            return "This page answers to its own address only."
        if request.method == "POST" and request.headers.get("origin") != f"http://{host}":
            return "A vote must come from this page itself."
        if inside and not secrets.compare_digest(request.cookies.get(self._cookie_name, "").encode(), self.access.cookie.encode()):
            return "Open the whole address that the terminal shows; it holds the key."
        return ""

    @property
    def _cookie_name(self) -> str:
        return f"provetune_label_{self.access.port}"  # cookies are shared by all ports of a host

    async def start(self, request: Request) -> Response:
        """The key, once: from here on the cookie opens the page."""
        if request.cookies.get(self._cookie_name) == self.access.cookie:
            return RedirectResponse("/", 303)
        if self.spent or not secrets.compare_digest(request.query_params.get("key", "").encode(), self.access.key.encode()):
            return self._refused("This address was used already, or is not whole. Start the command again.")
        self.spent = True
        response = RedirectResponse("/", 303)
        response.set_cookie(self._cookie_name, self.access.cookie, httponly=True, samesite="lax")
        return response

    async def show(self, request: Request) -> Response:
        """The next row, or what was reached."""
        return self._page()

    async def vote(self, request: Request) -> Response:
        """A label, an answer or a skip."""
        form = await form_of(request, LARGEST_BODY)
        if form is None:
            return self._page("That was too long to be taken; shorten it.", status=413)
        example_id, value, comment = (form.get(name, "") for name in ("row", "value", "comment"))
        try:
            if "skip" in form:
                self.work.skip(example_id, comment)
            else:
                self.work.vote(example_id, value, comment)
        except DataError as error:
            return self._page(f"Not saved: {error}.", (value, comment), status=400)
        return RedirectResponse("/", 303)

    async def undo(self, request: Request) -> Response:
        """Take the latest vote or skip back."""
        self.work.undo(self.work.held())
        return RedirectResponse("/", 303)

    async def again(self, request: Request) -> Response:
        """Show the skipped rows again."""
        self.work.show_skipped(self.work.held())
        return RedirectResponse("/", 303)

    async def finish(self, request: Request) -> Response:
        """Stop the command; everything is saved already."""
        self.access.stop()
        return self._render("finished.html.jinja", 200)

    def _refused(self, reason: str, status: int = 403) -> Response:
        return self._render("refused.html.jinja", status, reason=reason)

    def _page(self, alert: str = "", typed: tuple[str, str] = ("", ""), status: int = 200) -> Response:
        held = self.work.held()
        row, last = self.work.next_row(held), self.work.last(held)
        shown = {"progress": self.work.progress(held), "last": last, "guideline": self.guideline, "alert": alert}
        if row is None:
            found = None if self.work.keys else agreement(self.work.rows, held, 0, self.work.labels, self.work.scale)
            return self._render("done.html.jinja", status, agreement=found, **shown)
        opinions = self.work.opinions(row, held)
        own_keys = self.work.keys or tuple(str(place) for place in range(1, len(self.work.labels) + 1))
        asked = {"keys": KEYS, "own_keys": own_keys, "question": self.work.question}
        limits = {**asked, "longest_answer": LONGEST_ANSWER, "longest_comment": LONGEST_COMMENT}
        return self._render("row.html.jinja", status, row=row, labels=self.work.labels, opinions=opinions, typed=typed, **shown, **limits)

    def _render(self, template: str, status: int, **shown: Any) -> Response:
        nonce = secrets.token_urlsafe(16)
        text = self.templates.get_template(template).render(nonce=nonce, annotator=self.work.annotator, **shown)
        return HTMLResponse(text, status, {"Content-Security-Policy": content_policy(nonce)})


def guideline_html(text: str) -> Markup:
    """Markdown as HTML; tags in it stay text, images stay out.

    >>> print(guideline_html("**billing**: money <b>only</b>").strip())
    <p><strong>billing</strong>: money &lt;b&gt;only&lt;/b&gt;</p>
    """
    return Markup(MarkdownIt("commonmark", {"html": False}).enable("table").disable("image").render(text))
