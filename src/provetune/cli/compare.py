"""The verb `compare`: the paired verdict on two files of predictions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from provetune.cli.session import Line, Session, shown_path
from provetune.cli.verbs import app

if TYPE_CHECKING:
    from provetune.records.paired import ComparedFile, PairedVerdict


Claim = Literal["better", "not-worse"]
_WORDS = {"pass": "SHOWN", "fail": "SHOWN TO BE UNTRUE", "inconclusive": "NOT ENOUGH EVIDENCE"}
_CODES = {"pass": 0, "fail": 3, "inconclusive": 4}


@app.command()
def compare(
    ctx: typer.Context,
    candidate: Annotated[Path, typer.Argument(metavar="A.jsonl", help="Predictions of the candidate: id, prediction, target or score.")],
    baseline: Annotated[Path, typer.Argument(metavar="B.jsonl", help="Predictions of the baseline for the same ids.")],
    metric: Annotated[
        str | None, typer.Option(help="score (as given in the files; the default), accuracy, exact_match, rouge_l ...")
    ] = None,
    claim: Annotated[Claim, typer.Option(help="What is to be shown of A.")] = "better",
    margin: Annotated[float | None, typer.Option(min=0.0, help="By how much; 0.02 for better, 0.05 for not-worse if not given.")] = None,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.9999, help="Two-sided for better, one-sided for not-worse.")] = 0.95,
    shared: Annotated[bool, typer.Option("--shared", help="Leave out, and count, ids that only one file has.")] = False,
) -> None:
    """Are the predictions in A better than those in B? Paired, with an interval, whatever tool made them.

    Exit code 0 shown, 3 shown to be untrue, 4 not enough evidence.
    """
    from provetune.workflow.compare import CompareWish, compare_files

    session = ctx.ensure_object(Session)
    found = compare_files(CompareWish(candidate, baseline, metric, claim, margin, confidence, shared))
    session.result(verdict_lines(found), document=found.to_json(), essence=_WORDS[found.verdict.outcome])
    raise typer.Exit(_CODES[found.verdict.outcome])


def verdict_lines(found: PairedVerdict) -> list[Line]:
    """Both values, the difference, the verdict, what else was counted, and what as many rows can show."""
    one = found.comparison
    unit = "groups of rows" if one.difference.in_groups else "rows"
    lines: list[Line] = [
        _side("A", found.candidate, found.metric),
        _side("B", found.baseline, found.metric),
        (f"A minus B: {one.difference} {unit} ({one.difference.confidence:.0%}, {one.difference.method})", "bold"),
        (f"{one.wins:,} rows won, {one.ties:,} even, {one.losses:,} lost; p {_p(one.p_value)} ({one.p_method})", ""),
        *((note, "yellow") for note in found.notes),
        (f"{_WORDS[found.verdict.outcome]}: {found.verdict.reason}.", "bold"),
    ]
    if found.smallest_provable_gain is not None:
        lines.append((f"{found.compared:,} such rows can show a true difference of about {found.smallest_provable_gain:.3f} or more.", ""))
    if found.verdict.more_examples:
        lines.append((f"Next: about {found.verdict.more_examples:,} more rows would settle it, if the difference stays as it is.", ""))
    return lines


def _side(name: str, file: ComparedFile, metric: str) -> Line:
    return (f"{name} {file.path}: {metric} {file.value}; {file.rows:,} rows, {file.not_measured:,} not measured", "")


def _p(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4f}" if value >= 1e-4 else "below 0.0001"


def is_results(tool: str, file: Path) -> bool:
    """Whether the file holds results of that tool; promptfoo's configurations are something else."""
    if tool != "promptfoo":
        return tool == "lm-eval"
    return file.suffix == ".json" and '"testIdx"' in file.read_text(encoding="utf-8", errors="replace")


def import_results(session: Session, source: tuple[str, Path], out: Path, chosen: dict[str, str], *, force: bool) -> None:
    """Write another tool's results as prediction files, and say which."""
    from provetune.workflow.compare import import_predictions

    written, notes = import_predictions(*source, out, chosen, force=force)
    document = {"schema": "provetune.import-results/1", "files": {str(file): rows for file, rows in written.items()}, "notes": notes}
    lines: list[Line] = [(f"Wrote {shown_path(file)}: {rows:,} predictions.", "bold") for file, rows in written.items()]
    first = shown_path(next(iter(written)))
    following = session.command(f"compare A.jsonl {first}")
    lines += [*((note, "yellow") for note in notes), (f"Next: {following} compares it with other predictions for the same examples.", "")]
    session.result(lines, document=json.dumps(document, indent=2, ensure_ascii=False), essence=first)
