"""The verb `studio`: projects, data, verdicts and runs in the browser."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from provetune.cli.session import Session
from provetune.cli.verbs import app


@app.command()
def studio(
    ctx: typer.Context,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where it listens; elsewhere than on this machine only with --token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Its port; 0 takes a free one.")] = 8400,
    token: Annotated[
        str | None, typer.Option(metavar="TEXT", envvar="PROVETUNE_STUDIO_TOKEN", help="Who does not know it stays out.")
    ] = None,
    allowed_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME[:PORT]", help="A further name it is reached by, such as a proxy's. Repeatable.")
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
) -> None:
    """The studio: a local web page over the projects below this folder, from a file of examples to the verdict. Ctrl-C ends it.

    Whatever it starts runs as a process of its own and goes on without it.
    """
    from provetune.errors import SpecError

    session = ctx.ensure_object(Session)
    try:
        from provetune.studio.server import Bind, serve
    except ModuleNotFoundError as error:
        raise SpecError(f"the studio needs {error.name}: run `pip install 'provetune[studio]'`") from None

    def opened(address: str) -> None:
        session.note(f"The studio is at {address}")
        session.note("Next: open it in a browser on this machine; Ctrl-C ends it, and what it started goes on.")
        if open_it:
            import webbrowser

            webbrowser.open(address)

    serve(session.folder, Bind(host, port, token, allowed_host or ()), opened)
    document = {"schema": "provetune.studio/1", "folder": str(session.folder.resolve())}
    session.result([("The studio has ended; every run goes on.", "")], document=json.dumps(document), essence="ended")
