"""What `plan` says of base models and of a probe: the tables of `--bases`, `--search` and `--probe`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from provetune.cli.session import Line, Session, aligned, shown_path
from provetune.errors import SpecError

if TYPE_CHECKING:
    from provetune.models.hub import Found
    from provetune.records.bases import BaseComparison
    from provetune.records.candidate import Plan
    from provetune.records.probe import Probe


def show_bases(session: Session, overrides: Sequence[str], names: Sequence[str], *, bake: bool, minutes: float) -> None:
    """Compare base models and write the page about them."""
    from provetune.cli.progress import shown_progress
    from provetune.workflow.bases import BasesWish, compare_bases
    from provetune.workflow.project import open_project

    with shown_progress(session.format) as progress:
        project = open_project(session.folder, overrides, progress)
        found, page = compare_bases(project, BasesWish(tuple(names), bake=bake, minutes=minutes))
    session.result(bases_lines(found, page, session), document=found.to_json(), essence=found.sentence)


def bases_lines(found: BaseComparison, page: Path, session: Session) -> list[Line]:
    """The facts, the ranking if there was a bake-off, every note, the sentence, the next command."""
    from provetune.report.bases import FACT_HEADS, baked_cells, fact_cells, notes_of

    table = aligned([FACT_HEADS, *map(fact_cells, found.candidates)])
    lines: list[Line] = [(table[0], "bold"), *((row, "") for row in table[1:])]
    if found.baked:
        rows = f"{found.train_rows:,} training rows, {found.validation_rows:,} validation rows, {found.method}"
        lines += [("", ""), (f"Bake-off by {found.metric}: {rows}; bases of one tier are not told apart.", "")]
        heads = ("base", "tier", "zero-shot", "tuned", "gain", "s of tuning", "ms an answer", "beaten by none")
        ranking = aligned([heads, *map(baked_cells, found.baked)])
        lines += [(ranking[0], "bold"), *((row, "") for row in ranking[1:])]
    lines += [(note, "yellow") for note in notes_of(found)]
    best = found.baked[0].name if found.baked else next((c.name for c in found.candidates if c.fertility is not None), "starter")
    following = f"set base: {best} in provetune.yaml, then {session.command('run')}"
    if not found.baked:
        following = f"{session.command('plan --bases A B --bake-off')} tunes each a little and ranks them"
    return [*lines, ("", ""), (found.sentence, "bold"), (f"Page: {shown_path(page)}", ""), (f"Next: {following}.", "")]


def show_search(session: Session, overrides: Sequence[str], where: str, most_billions: float | None) -> None:
    """List models to choose from: of the hub, or of a folder; only such as the project's licences allow."""
    from provetune.workflow.bases import search_bases

    found = search_bases(session.folder, overrides, where, most_billions)
    document = {"schema": "provetune.base_search/1", "found": [asdict(one) for one in found]}
    if not found:
        raise SpecError(f"--search {where}: found no model of that size and licence; take other words, a larger --up-to, or more licences")
    heads = ("model", "licence", "parameters", "downloads", "declared data")
    table = aligned([heads, *map(_found_cells, found)])
    lines: list[Line] = [(table[0], "bold"), *((row, "") for row in table[1:])]
    lines.append((f"Next: {session.command('plan --bases ' + ' '.join(one.name for one in found[:3]))} compares them on your rows.", ""))
    session.result(lines, document=json.dumps(document, indent=2, ensure_ascii=False), essence=found[0].name)


def _found_cells(one: Found) -> tuple[str, ...]:
    size = "unknown" if one.parameters is None else f"{one.parameters / 1e9:.3g}B"
    downloads = "-" if one.downloads is None else f"{one.downloads:,}"
    data = "not declared" if one.datasets is None else ", ".join(one.datasets[:3])
    return (one.name + (" (terms to accept)" if one.gated else ""), one.licence, size, downloads, data)


def show_probe(session: Session, overrides: Sequence[str]) -> None:
    """Take a few optimizer steps of each method of the plan, and show the plan that they correct."""
    from provetune.cli.progress import shown_progress
    from provetune.workflow.probe import probed_plan
    from provetune.workflow.project import open_project

    with shown_progress(session.format) as progress:
        plan, probes = probed_plan(open_project(session.folder, overrides, progress))
    following = session.command("run")
    session.result(probe_lines(plan, probes, following), document=plan.to_json(), essence=", ".join(plan.chosen))


def probe_lines(plan: Plan, probes: Sequence[Probe], run: str) -> list[Line]:
    """What was measured, and memory, hours and price of each method as they now stand."""
    from provetune.report.words import amount_text

    lines: list[Line] = [
        (
            f"{probe.method}: {len(probe.steps)} optimizer steps, {probe.tokens_per_s:,.0f} tokens/s, at most {probe.peak_gib:.2f} GiB "
            f"({probe.idle_gib:.2f} without the model), {probe.wall_seconds:,.0f} s in all",
            "",
        )
        for probe in probes
    ]
    cells = [("method", "GiB", "", "hours", "$")]
    cells += [(o.method, amount_text(o.memory_gib), o.fits, amount_text(o.duration_h), amount_text(o.cost_usd)) for o in plan.options]
    table = aligned(cells)
    lines += [("", ""), (table[0], "bold"), *((row, "") for row in table[1:])]
    lines += [(f"{option.method}: {option.note}", "yellow") for option in plan.options if option.note]
    lines += [(f"{key.partition('.')[0]}: {text}", "") for key, text in plan.why.items() if key.endswith(".measured")]
    return [*lines, (f"Next: {run} trains {', '.join(plan.chosen)}, and proves.", "bold")]
