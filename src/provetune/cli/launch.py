"""The verb `launch`: a job for a cloud, Slurm or Kubernetes, written and priced; handed over only on request."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from provetune.cli.session import Line, Session
from provetune.cli.verbs import Overrides, app
from provetune.errors import SpecError

if TYPE_CHECKING:
    from provetune.records.launching import LaunchPlan

Place = Literal["sky", "hf-jobs", "sagemaker", "vertex", "slurm", "kubernetes"]


@app.command()
def launch(
    ctx: typer.Context,
    target: Annotated[Place, typer.Argument(help="Where the job shall run.")],
    overrides: Overrides = None,
    gpu: Annotated[
        str | None, typer.Option(metavar="NAME", help="Kind of GPU, or cpu. If not given, the cheapest that fits and is to be had there.")
    ] = None,
    bucket: Annotated[str, typer.Option(metavar="PLACE", help="What outlives the job: s3://, gs://, hf://, pvc://, a folder.")] = "",
    image: Annotated[str, typer.Option(metavar="NAME", help="Image with provetune in it; the Containerfile builds one.")] = "",
    spot: Annotated[bool, typer.Option("--spot", help="A cheaper machine that may be taken away; the job goes on elsewhere.")] = False,
    account: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="What only you know: role, region, partition ... Repeatable.")
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Prices of your own, a CSV with the columns of the packaged one.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Where to write the spec; in the project folder if not given.")] = None,
    submit: Annotated[bool, typer.Option("--submit", help="After a question, hand the job over by the vendor's own program.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --submit: do not ask.")] = False,
) -> None:
    """Write the spec of a job that runs the project elsewhere, with what it costs at most. Nothing is submitted without --submit."""
    from provetune.workflow.launch import LaunchWish, plan_launch
    from provetune.workflow.launch import submit as hand_over

    session = ctx.ensure_object(Session)
    pairs = [one.partition("=") for one in account or ()]
    if any(not (name and value) for name, _, value in pairs):
        raise SpecError(f"--account: found {' '.join(account or ())}, wanted NAME=VALUE")
    wish = LaunchWish(target, gpu, image, bucket, spot, {name: value for name, _, value in pairs}, prices, out)
    plan = plan_launch(session.folder, overrides or (), wish)
    if submit:
        for text, style in launch_lines(plan):
            session.note(text, style)
        if not yes and not _agreed(session, plan):
            raise SpecError("not submitted: nobody agreed to the price; answer yes, or give --yes")
        plan = hand_over(plan)
    session.result(launch_lines(plan), document=plan.to_json(), essence=plan.file)


def _agreed(session: Session, plan: LaunchPlan) -> bool:
    """Whether a person at a terminal says yes to the price."""
    if not (sys.stdin.isatty() and session.format == "human"):
        return False
    print(f"Submit a job that may cost up to {_money(plan.usd_at_most)}? [yes/no] (no): ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().casefold() in ("y", "yes")


def launch_lines(plan: LaunchPlan) -> list[Line]:
    """Machine, price, warnings, and the commands in their order."""
    machine = f"{plan.devices} x {plan.gpu}" + (" (spot)" if plan.spot else "")
    rate = "unknown" if plan.usd_per_hour is None else f"{plan.usd_per_hour:.2f} $/h ({plan.price_from})"
    hours = "" if plan.hours_on_one is None else f"; training takes about {plan.hours_on_one:.1f} h on one"
    lines: list[Line] = [
        (f"{plan.target}: {plan.method} on {machine}, {plan.instance}: {plan.fits}{hours}", "bold"),
        (f"at most {plan.max_hours:.1f} h and {_money(plan.usd_at_most)}; price {rate}", ""),
        *((text, "yellow") for text in plan.warnings),
        (f"spec: {plan.file}", ""),
    ]
    if plan.submitted is not None:
        return [*lines, (f"submitted: {plan.submitted}", "green"), ("Next:", ""), *((f"  {text}", "") for text in plan.commands[2:])]
    return [*lines, ("Nothing was submitted. In this order:", ""), *((f"  {text}", "") for text in plan.commands)]


def _money(usd: float | None) -> str:
    return "an unknown price" if usd is None else f"{usd:,.2f} $"
