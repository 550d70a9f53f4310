"""The verb `plan`: what a tuning would need and cost, and how good such estimates are."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provetune.cli.session import Line, Session, aligned
from provetune.cli.verbs import Overrides, app
from provetune.errors import SpecError

if TYPE_CHECKING:
    from provetune.records.planning import CostPlan, GpuOption, Rent, Scores, TimeScores, Validation
    from provetune.stats.estimate import Estimate

HERE = "this machine"
FEW = 4
"""Kinds of GPU that are shown of each method; all are in the JSON document."""
FITS_STYLES = {"fits": "green", "tight": "yellow", "does not fit": "red", "unknown": ""}


@app.command()
def plan(
    ctx: typer.Context,
    models: Annotated[list[str] | None, typer.Argument(metavar="[MODEL]...", help="For --bases: folders, hub names, or starter.")] = None,
    overrides: Overrides = None,
    gpu: Annotated[str | None, typer.Option(metavar="NAME", help="Only this kind: A100, A100-80GB, RTX4090 ... All if not given.")] = None,
    gpus: Annotated[int, typer.Option(metavar="N", help="How many of them at a time.")] = 1,
    method: Annotated[str | None, typer.Option(metavar="NAME", help="Only lora, qlora or full. All if not given.")] = None,
    prices: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Prices of your own, a CSV with the columns of the packaged one.")
    ] = None,
    base: Annotated[
        str | None, typer.Option(metavar="NAME", help="Base model: a folder or a hub name; the project's if not given.")
    ] = None,
    rows: Annotated[int | None, typer.Option(metavar="N", help="Training rows, for a plan without a project; with --tokens.")] = None,
    tokens: Annotated[int | None, typer.Option(metavar="T", help="Mean tokens of a row, for a plan without a project.")] = None,
    longest: Annotated[int | None, typer.Option(metavar="T", help="Tokens of the longest row, with --tokens.")] = None,
    test_rows: Annotated[int | None, typer.Option("--test-rows", metavar="N", help="Test rows, with --rows.")] = None,
    refresh_prices: Annotated[
        bool, typer.Option("--refresh-prices", help="First renew the prices: through gpuhunt (extra `prices`), or from --catalog.")
    ] = False,
    catalog: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="With --refresh-prices: a catalogue of SkyPilot's, a file or https. Repeatable."),
    ] = None,
    validate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Score the memory estimate on published measurements, a CSV, and do nothing else.")
    ] = None,
    bases: Annotated[
        bool, typer.Option("--bases", help="Compare base models on your rows: those named, or a short list. See docs/bases.md.")
    ] = False,
    bake_off: Annotated[bool, typer.Option("--bake-off", help="With --bases: tune each a little, and rank them.")] = False,
    minutes: Annotated[float, typer.Option(min=0.1, metavar="M", help="What all tunings of a bake-off together may take.")] = 10.0,
    search: Annotated[
        str | None, typer.Option(metavar="WORDS", help="List models of the hub whose names hold these words, or those below a folder.")
    ] = None,
    up_to: Annotated[float | None, typer.Option("--up-to", metavar="B", help="With --search: at most so many billion parameters.")] = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Take five real optimizer steps of each method here, and correct the plan by them.")
    ] = False,
) -> None:
    """What each method needs on each GPU: memory, hours, price; which gain could be proven; what to do. Nothing is kept that is trained."""
    session = ctx.ensure_object(Session)
    if bases or search is not None or probe:
        from provetune.cli.bases import show_bases, show_probe, show_search

        if search is not None:
            return show_search(session, overrides or (), search, up_to)
        if probe:
            return show_probe(session, overrides or ())
        return show_bases(session, overrides or (), models or (), bake=bake_off, minutes=minutes)
    if models or bake_off:
        raise SpecError(
            f"plan: found {' '.join(models or ()) or '--bake-off'} without --bases; models are named as in `provetune plan --bases A B`"
        )
    if validate is not None:
        from provetune.workflow.outlook import validate as scored

        found = scored(validate)
        return session.result(validation_lines(found), document=found.to_json(), essence=_all_rows(found))
    from provetune.workflow.outlook import Wish, plan_outlook, renew_prices

    if catalog and not refresh_prices:
        raise typer.BadParameter("it belongs to --refresh-prices", param_hint="--catalog")
    if refresh_prices:
        came = renew_prices(catalog or ())
        if base is None and not (session.folder / "provetune.yaml").is_file():
            document = json.dumps({"schema": "provetune.prices/1", "said": came}, ensure_ascii=False)
            return session.result([(came, "bold")], document=document, essence=came)
        session.note(came)
    wish = Wish(gpu, gpus, method, prices, base, rows, tokens, longest, test_rows)
    table = plan_outlook(session.folder, overrides or (), wish)
    session.result(plan_lines(table, session.command("run")), document=table.to_json(), essence=table.recommendation)


def plan_lines(found: CostPlan, run: str) -> list[Line]:
    """What was counted, the table, the recommendation, what it rests on; `run` is the command of the whole flow."""
    gain = found.smallest_provable_gain
    lines: list[Line] = [
        (
            f"{found.base}: {_count(found.parameters)} parameters ({found.shape_from}); {found.train_rows:,} training rows, "
            f"{found.tokens_per_epoch:,} tokens an epoch, the longest row {found.longest_row:,} ({found.lengths_from})",
            "",
        ),
        ("", ""),
    ]
    head = ("method", "GPU", "GiB of one GPU", "of", "", "training", "$ in all", "cheapest offer")
    shown = _shown(found)
    rows = aligned([head, *map(_cells, shown)])
    lines += [(rows[0], "bold"), *((row, FITS_STYLES[one.fits]) for row, one in zip(rows[1:], shown, strict=True))]
    notes = dict.fromkeys((one.gpu, one.note) for one in shown if one.note)
    lines += [(f"{name}: {note}", "yellow") for name, note in notes]
    lines += [(text, "") for text in _not_shown(found, shown)]
    lines += [("", ""), *((text, "yellow") for text in found.warnings)]
    lines.append((f"prices: {found.prices_as_of}", ""))
    provable = "no gain can be proven" if gain is None else f"a gain of {100 * gain:.0f} points or more can be proven"
    lines.append((f"{found.test_rows:,} test rows: {provable}", ""))
    return [*lines, (found.recommendation, "bold"), (f"Why: {found.reason}.", ""), (f"Next: {_next(found, run)}", "")]


def _count(parameters: int) -> str:
    return f"{parameters / 1e9:.2f} billion" if parameters >= 1e8 else f"{parameters / 1e6:.1f} million"


def _next(found: CostPlan, run: str) -> str:
    if found.project:
        return f"{run}, on the machine that you choose, trains and proves."
    return "`provetune init FILE` makes a project of your rows; there `provetune plan` counts their own tokens."


def _offered(found: CostPlan) -> bool:
    return any(one.rents for one in found.options)


def _dollars(one: GpuOption) -> tuple[bool, float]:
    """Order of offers: those with a recent price first, then by what they cost."""
    rent = _on_demand(one)
    return (rent is None or rent.stale, math.inf if rent is None or rent.cost_usd.value is None else rent.cost_usd.value)


def _on_demand(one: GpuOption) -> Rent | None:
    return min((rent for rent in one.rents if rent.tier != "spot"), key=lambda rent: rent.cost_usd.value or math.inf, default=None)


def _shown(found: CostPlan) -> list[GpuOption]:
    """This machine; of each method the `FEW` cheapest kinds on which it may fit, in the order of the table of GPUs.

    Kinds that nobody asked for by name are not shown where nothing need be rented.
    """
    if _nothing_to_rent(found):
        return [one for one in found.options if one.gpu == HERE]
    shown = []
    for method in dict.fromkeys(one.method for one in found.options):
        mine = [one for one in found.options if one.method == method]
        rented = [one for one in mine if one.gpu != HERE and one.fits != "does not fit" and (one.rents or not _offered(found))]
        few = sorted(rented, key=_dollars)[:FEW]
        shown += [one for one in mine if one.gpu == HERE or one in few]
    return shown


def _nothing_to_rent(found: CostPlan) -> bool:
    return found.recommendation.endswith("no rent.") and len({one.gpu for one in found.options}) > 1 + FEW


def _not_shown(found: CostPlan, shown: Sequence[GpuOption]) -> list[str]:
    """Where methods fit for more money, where they do not, and where nobody offers it; methods of which the same holds in one line."""
    if _nothing_to_rent(found):
        return ["rented GPUs are not shown, as none is needed; what one would take: --gpu NAME, all of them: --format json"]
    said: dict[str, list[str]] = {}
    for method in dict.fromkeys(one.method for one in found.options):
        mine = [one for one in found.options if one.method == method and one.gpu != HERE and one not in shown]
        may = [one for one in mine if one.fits != "does not fit"]
        parts = {
            "also fits, or may, on": [one.gpu for one in may if one.rents or not _offered(found)],
            "does not fit on": [one.gpu for one in mine if one.fits == "does not fit"],
            "no price is known for": [one.gpu for one in may if not one.rents and _offered(found)],
        }
        for words, names in parts.items():
            if names:
                said.setdefault(f"{words} {', '.join(names)}", []).append(method)
    lines = [f"{', '.join(methods)}: {text}" for text, methods in said.items()]
    return [*lines, *(("every kind: --format json; one kind: --gpu NAME",) if lines else ())]


def _cells(one: GpuOption) -> tuple[str, ...]:
    offer, memory = _on_demand(one), one.memory_gib
    cost = (
        "-"
        if offer is None or offer.cost_usd.value is None
        else f"{offer.cost_usd.value:,.2f} [{offer.cost_usd.low:,.2f}, {offer.cost_usd.high:,.2f}]"
    )
    return (
        one.method + (" (checkpointing)" if one.checkpointing else ""),
        one.gpu if one.gpus == 1 else f"{one.gpus} x {one.gpu}",
        f"{memory.value:.1f} [{memory.low:.1f}, {memory.high:.1f}]",
        f"{one.memory_available_gib:.0f}",
        one.fits,
        "-" if one.method == "prompting only" else _time(one.duration_h),
        cost,
        "-" if offer is None else f"{offer.provider} {offer.usd_per_hour:.2f} $/h, {offer.as_of}",
    )


def _time(hours: Estimate) -> str:
    """With its interval: minutes where it is less than an hour, whole hours where it is more than a day."""
    if hours.value is None:
        return "unknown"
    unit, times, digits = ("min", 60, 0) if hours.value < 1 else ("h", 1, 1 if hours.value < 24 else 0)
    value, low, high = (
        "<1" if times * (end or 0.0) < 0.5 else f"{times * (end or 0.0):,.{digits}f}" for end in (hours.value, hours.low, hours.high)
    )
    return f"{value} [{low}, {high}] {unit}"


def validation_lines(found: Validation) -> list[Line]:
    """The tables, then what was left out and why."""
    lines: list[Line] = []
    for title, scores in (("fitted without the source that is scored", found.leave_one_source_out), ("as shipped", found.as_shipped)):
        if scores:
            table = aligned(
                [(title, "rows", "mean", "median", "<= 15 %", "<= 30 %", "in interval", "high / low", "OOM right"), *map(_scored, scores)]
            )
            lines += [(table[0], "bold"), *((row, "") for row in table[1:]), ("", "")]
    if found.time:
        table = aligned(
            [("hours, estimated over measured", "rows", "10 %", "median", "90 %", "0.5 to 2", "in interval"), *map(_timed, found.time)]
        )
        lines += [(table[0], "bold"), *((row, "") for row in table[1:]), ("", "")]
    lines += [
        (f"left out, {len(one.ids):,} rows: {one.reason} ({', '.join(one.ids[:3])}{', ...' if len(one.ids) > 3 else ''})", "")
        for one in found.left_out
    ]
    return [*lines, (_all_rows(found), "bold")]


def _scored(one: Scores) -> tuple[str, ...]:
    shares = (one.mean_absolute_error, one.median_absolute_error, one.within_15_percent, one.within_30_percent, one.inside_interval)
    ratio = "-" if one.median_high_over_low is None else f"{one.median_high_over_low:.2f}"
    refused = f"{one.out_of_memory_right} of {one.out_of_memory_rows}" if one.out_of_memory_rows else "-"
    return (one.group, str(one.rows), *("-" if share is None else f"{100 * share:.1f} %" for share in shares), ratio, refused)


def _timed(one: TimeScores) -> tuple[str, ...]:
    ratios = (f"{ratio:.2f}" for ratio in (one.low_ratio, one.median_ratio, one.high_ratio))
    return (one.group, str(one.rows), *ratios, *(f"{100 * share:.0f} %" for share in (one.within_factor_2, one.inside_interval)))


def _all_rows(found: Validation) -> str:
    scores: Sequence[Scores] = found.leave_one_source_out or found.as_shipped
    one = scores[0]
    error = "-" if one.mean_absolute_error is None else f"{100 * one.mean_absolute_error:.1f} %"
    return f"{one.rows:,} of {found.rows:,} rows scored: mean absolute error {error}"
