"""The verb `traffic`: the request log as rows to train on or to label, as an A/B verdict, and without those who ask to be erased."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provetune.cli.session import Line, Session, shown_path
from provetune.cli.verbs import app

if TYPE_CHECKING:
    from provetune.records.traffic import Route

traffic = typer.Typer(
    name="traffic", help="The request log: rows for training and labelling, A/B, retention, erasing.", no_args_is_help=True
)
app.add_typer(traffic)


class Trial(StrEnum):
    """Who is compared with the champion."""

    canary = "canary"
    challenger = "challenger"
    shadow = "shadow"


_ROUTES: dict[Trial, Route] = {Trial.canary: "canary", Trial.challenger: "challenger", Trial.shadow: "shadow"}


@traffic.command()
def export(
    ctx: typer.Context,
    to: Annotated[Path, typer.Option(metavar="FILE.jsonl", help="Where the rows go.")],
    unlabelled: Annotated[bool, typer.Option("--unlabelled", help="Requests that nobody judged, for `provetune label FILE`.")] = False,
) -> None:
    """Write corrected and approved answers as chat rows for the next data set."""
    from provetune.workflow.traffic import export_rows

    session = ctx.ensure_object(Session)
    done = export_rows(session.folder, to, unlabelled=unlabelled)
    others = ", ".join(f"{count:,} {reason}" for reason, count in done.left_out.items())
    following = session.command(f"label {to} --annotator NAME" if unlabelled else f"init {to}")
    lines: list[Line] = [
        (f"Wrote {shown_path(to)}: {done.rows:,} rows{f'; left out: {others}' if others else ''}.", "bold"),
        (f"Next: {following}", ""),
    ]
    told = {"schema": "provetune.traffic_export/1", "rows": done.rows, "left_out": done.left_out, "file": str(to)}
    session.result(lines, document=json.dumps(told), essence=str(done.rows))


@traffic.command(name="compare")
def compare_with_champion(
    ctx: typer.Context,
    route: Annotated[Trial, typer.Argument(help="Who is compared with the champion.")],
    metric: Annotated[str, typer.Option(help="What corrected answers are measured by.")] = "exact_match",
) -> None:
    """The paired verdict on requests that both answered and somebody corrected, by the statistics of the proof."""
    from provetune.cli.compare import verdict_lines
    from provetune.workflow.traffic import compare_routes

    session = ctx.ensure_object(Session)
    found = compare_routes(session.folder, _ROUTES[route], metric)
    session.result(verdict_lines(found), document=found.to_json(), essence=found.verdict.outcome)


@traffic.command()
def erase(ctx: typer.Context, user: Annotated[str, typer.Argument(help="The user, as clients name them in `user`.")]) -> None:
    """Delete every request of one user and what was said about it."""
    from provetune.workflow.traffic import erase as erase_requests

    session = ctx.ensure_object(Session)
    gone = erase_requests(session.folder, user)
    told = {"schema": "provetune.traffic_erased/1", "requests": gone}
    session.result([(f"Erased {gone:,} requests.", "")], document=json.dumps(told), essence=str(gone))


@traffic.command(name="expire")
def expire_old(ctx: typer.Context) -> None:
    """Drop texts older than 90 days and requests older than 400; `serve` does it whenever it starts."""
    from provetune.workflow.traffic import expire_now

    session = ctx.ensure_object(Session)
    texts, requests = expire_now(session.folder)
    told = {"schema": "provetune.traffic_expired/1", "texts": texts, "requests": requests}
    session.result([(f"Dropped {texts:,} texts and {requests:,} requests.", "")], document=json.dumps(told), essence=str(texts + requests))
