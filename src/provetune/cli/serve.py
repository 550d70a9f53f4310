"""The verbs `serve` and `keys`: a gateway in OpenAI's form over a tuned model, and who may ask it."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provetune.cli.session import Line, Session
from provetune.cli.verbs import app
from provetune.errors import SpecError

if TYPE_CHECKING:
    from provetune.workflow.serve import Endpoint

keys = typer.Typer(name="keys", help="Keys of the gateway's clients: made, listed, revoked.", no_args_is_help=True)
app.add_typer(keys)
_SHARE = "Share of the users that get the canary's answers."


@app.command()
def serve(
    ctx: typer.Context,
    run: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A run, or its adapter; else the registry's champion, or the latest run.")
    ] = None,
    canary: Annotated[Path | None, typer.Option(metavar="DIR", help="A run on trial beside --run; halted if it turns out worse.")] = None,
    share: Annotated[float, typer.Option(min=0.0, max=1.0, help=_SHARE)] = 0.05,
    host: Annotated[str, typer.Option(help="Address to listen at; others than this machine's own need a key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="Answer through `vllm serve` or another endpoint that has loaded the model.")
    ] = None,
    endpoint_model: Annotated[str, typer.Option(metavar="NAME", help="What the endpoint calls the model.")] = "adapter",
    endpoint_key_from: Annotated[
        str | None, typer.Option(metavar="VARIABLE", help="Environment variable that holds the endpoint's key.")
    ] = None,
    allowed_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A name under which clients reach it, such as a proxy's. Repeatable.")
    ] = None,
    allowed_origin: Annotated[list[str] | None, typer.Option(metavar="URL", help="A web page's origin that may ask. Repeatable.")] = None,
    most_open: Annotated[int, typer.Option(min=1, help="Requests at a time; more are told to come again.")] = 256,
    sampling: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of the requests whose text is kept in the log.")] = 1.0,
    no_log: Annotated[bool, typer.Option("--no-log", help="Keep nothing: no log, no feedback.")] = False,
    jobs: Annotated[bool, typer.Option("--jobs", help="Also take files and fine-tuning jobs (/v1/files, /v1/fine_tuning/jobs).")] = False,
    base: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FOLDER", help="With --jobs: a base model that clients may name. Repeatable.")
    ] = None,
) -> None:
    """Serve the tuned model as an OpenAI-compatible endpoint; Ctrl-C finishes what is under way and ends.

    Answers are those that were proven: the same template, prompt and decoding. A log of redacted requests is kept for `watch`.
    """
    from provetune.workflow.serve import gateway_settings, open_gateway, run_gateway, wish_of

    session = ctx.ensure_object(Session)
    if canary is not None and run is None:
        raise typer.BadParameter("it stands beside --run; releases get their roles with `provetune registry`", param_hint="--canary")
    settings = gateway_settings(tuple(allowed_host or ()), tuple(allowed_origin or ()), most_open, sampling)
    beside = None if canary is None else (canary, share)
    named = wish_of(session.folder, run, beside, _endpoint(endpoint, endpoint_model, endpoint_key_from))
    wish = replace(named, settings=settings, host=host, log=not no_log, jobs=jobs, bases=_bases(base or []))
    opened = open_gateway(wish)
    if opened.outcome != "ship":
        session.warn(f"the decision on this model is {opened.outcome.upper()}, not SHIP; it is served because you asked for it")
    if opened.gateway.keys is None:
        session.warn(f"there is no key, so anybody on this machine may ask; {session.command('keys create NAME')} makes one")

    def listens(url: str) -> None:
        print(f"Serving {opened.name} at {url}/v1 (model={opened.name!r}); Ctrl-C ends.", file=sys.stderr, flush=True)

    run_gateway(opened, host, port, listens)
    answered = opened.gateway.figures.counters["answers"]
    total = int(sum(answered.values()))
    told = {"schema": "provetune.served/1", "answers": total}
    session.result([(f"Answered {total:,} requests.", "")], document=json.dumps(told), essence=str(total))


def _endpoint(url: str | None, model: str, variable: str | None) -> Endpoint | None:
    if url is None:
        return None
    from provetune.workflow.serve import endpoint_of

    if variable is not None and not os.environ.get(variable):
        raise SpecError(f"--endpoint-key-from {variable}: this environment variable is not set; set it to the endpoint's key")
    return endpoint_of(url, model, os.environ.get(variable) if variable else None)


def _bases(given: list[str]) -> dict[str, str]:
    found = {}
    for one in given:
        name, _, folder = one.partition("=")
        if not name or not Path(folder).is_dir():
            raise SpecError(f"--base {one}: wanted NAME=FOLDER with a folder that is there")
        found[name] = str(Path(folder).resolve())
    return found


@keys.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help="What it may do: chat, models, feedback (all three if none is named), files, jobs, metrics. Repeatable."),
    ] = None,
    requests_per_minute: Annotated[float | None, typer.Option(min=0.001, help="Most requests a minute.")] = None,
    tokens_per_minute: Annotated[float | None, typer.Option(min=0.001, help="Most tokens a minute, of prompts and completions.")] = None,
) -> None:
    """Make a key. It is shown this once; only its hash is kept."""
    from provetune.records.keys import Limits
    from provetune.workflow.clients import create_key

    session = ctx.ensure_object(Session)
    limits = Limits(requests_per_minute=requests_per_minute, tokens_per_minute=tokens_per_minute)
    key, text = create_key(session.folder, name, scope or (), limits)
    lines: list[Line] = [(text, "bold"), (f"Key {key.id} of {name}: {', '.join(key.scopes)}. It is not shown again.", "")]
    told = {"schema": "provetune.key/1", "id": key.id, "key": text, "scopes": key.scopes}
    session.result(lines, document=json.dumps(told), essence=text)


@keys.command(name="list")
def list_keys(ctx: typer.Context) -> None:
    """All keys, without their texts."""
    from provetune.workflow.clients import all_keys

    session = ctx.ensure_object(Session)
    ring = all_keys(session.folder)
    lines: list[Line] = [
        (f"{key.id}  {key.name}  {', '.join(key.scopes)}  made {key.made_at}{f'  revoked {key.revoked_at}' if key.revoked_at else ''}", "")
        for key in ring.keys
    ]
    in_use = sum(key.revoked_at is None for key in ring.keys)
    session.result(lines or [("No keys yet.", "")], document=ring.to_json(), essence=str(in_use))


@keys.command()
def revoke(ctx: typer.Context, name: Annotated[str, typer.Argument(help="A key's id or name.")]) -> None:
    """End a key at once, for running gateways too."""
    from provetune.workflow.clients import revoke_key

    session = ctx.ensure_object(Session)
    key = revoke_key(session.folder, name)
    told = {"schema": "provetune.key/1", "id": key.id, "revoked_at": key.revoked_at}
    session.result([(f"Key {key.id} of {key.name} is revoked.", "")], document=json.dumps(told), essence=key.id)
