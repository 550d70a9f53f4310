"""What `label` begins and ends with: rows and what annotators are told; agreement, one label per row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from provetune.errors import DataError, FolderError, SpecError
from provetune.formats import Notes
from provetune.labelling.agreement import agreement
from provetune.labelling.consensus import Exported, export
from provetune.labelling.round import Guideline
from provetune.labelling.rounds import rounds_of
from provetune.labelling.rows import Row, rows_of, unlabelled_rows
from provetune.labelling.votes import Standing, VoteLog, attached, standing
from provetune.load import guess_task, read_rows
from provetune.records.labels import Agreement, LabelSetup
from provetune.spec import DataSpec
from provetune.spec.text import SPEC_FILE, load_spec
from provetune.stats.agreement import Scale
from provetune.store import write_atomic

LONGEST_NAME = 200


@dataclass(frozen=True)
class LabelWish:
    """What the user gave: a data file or a project folder; None is what the first annotator was told, or the default."""

    source: Path
    labels: tuple[str, ...] = ()
    scale: Scale | None = None
    guideline: Path | None = None


@dataclass(frozen=True)
class Labelling:
    """The rows of a data set with their votes. `folder` holds votes, rounds, guidelines; `project` is None for a file alone.

    `notes` say what the file's format leaves out.
    """

    folder: Path
    project: Path | None
    rows: dict[str, Row]
    labels: tuple[str, ...]
    scale: Scale
    guideline: Guideline
    log: VoteLog
    notes: tuple[str, ...] = ()

    def held(self) -> tuple[Standing, int]:
        """What stands, and how many votes are set aside because their row changed."""
        votes, aside = attached(self.log.votes(), self.rows)
        return standing(votes), aside


def open_labelling(wish: LabelWish) -> Labelling:
    """Read the rows and what was told before; labels, scale and guideline that are given are kept for the next annotator."""
    need_plain(wish.labels, "--labels")
    project = wish.source if (wish.source / SPEC_FILE).is_file() or wish.source.is_dir() else None
    notes = Notes()
    rows, own = _project_rows(project, notes) if project else _file_rows(wish.source, notes)
    folder = project / "labels" if project else wish.source.with_name(f"{wish.source.name}.labels")
    setup_file = folder / "setup.json"
    setup = LabelSetup.from_json(setup_file.read_text(encoding="utf-8")) if setup_file.is_file() else LabelSetup()
    guideline = _guideline(folder, wish, setup)
    told = LabelSetup(labels=wish.labels or setup.labels, scale=wish.scale or setup.scale, guideline=guideline.version)
    labels = told.labels or own
    if told.scale in ("interval", "ratio") and not all(_is_number(label) for label in labels):
        raise SpecError(f"--scale {told.scale}: found labels {', '.join(labels[:5])}, wanted numbers; name them with --labels 1,2,3")
    if told != setup:
        write_atomic(setup_file, told.to_json())
    return Labelling(folder, project, rows, labels, told.scale, guideline, VoteLog(folder / "votes.jsonl"), tuple(notes.lines()))


def need_plain(words: Iterable[str], option: str) -> None:
    """SpecError on a name that is blank, very long or cannot be printed."""
    for word in words:
        if not word.strip() or len(word) > LONGEST_NAME or not word.isprintable():
            raise SpecError(f"{option}: found {word[:LONGEST_NAME]!r}, wanted printable characters, at most {LONGEST_NAME}")


def summary(labelling: Labelling) -> Agreement:
    """Agreement as it is now; also written to `agreement.json` in the folder of the labels."""
    held, aside = labelling.held()
    found = agreement(labelling.rows, held, aside, labelling.labels, labelling.scale)
    if found.voted:
        write_atomic(labelling.folder / "agreement.json", found.to_json())
    return found


def write_consensus(labelling: Labelling, path: Path) -> Exported:
    """The data file with one label per row and its votes; rows kept for the test split go to a file of their own beside it."""
    reasons: dict[str, str] = {}
    held_out: set[str] = set()
    for queue in rounds_of(labelling.folder):
        held_out.update(queue.held_out)
        for row in queue.rows:
            reasons.setdefault(row.example_id, row.reason)
    return export(labelling.rows, labelling.held()[0], reasons, held_out, path)


def _project_rows(folder: Path, notes: Notes) -> tuple[dict[str, Row], tuple[str, ...]]:
    spec = load_spec(folder / SPEC_FILE)
    rows = rows_of(read_rows(folder / spec.data.path, spec.data, notes), spec.data.path)
    if spec.task.type != "classify":
        return rows, ()
    return rows, _own_labels(rows) if spec.task.labels == "auto" else tuple(spec.task.labels)


def _file_rows(path: Path, notes: Notes) -> tuple[dict[str, Row], tuple[str, ...]]:
    """Rows of a file; where its readers refuse it because labels are missing, the rows that are still to be labelled."""
    try:
        raw = list(read_rows(path, DataSpec(path=str(path)), notes))
    except DataError:
        rows = unlabelled_rows(path) if path.is_file() and path.suffix in (".csv", ".tsv", ".json", ".jsonl") else None
        if rows is None:
            raise
        return rows, _own_labels(rows)
    return rows_of(raw, path.name), _own_labels(rows_of(raw, path.name)) if raw and guess_task(raw) == "classify" else ()


def _own_labels(rows: dict[str, Row]) -> tuple[str, ...]:
    found = {row.label for row in rows.values() if row.label is not None}
    return tuple(sorted(found, key=lambda label: (label.casefold(), label)))


def _guideline(folder: Path, wish: LabelWish, setup: LabelSetup) -> Guideline:
    """The guideline that is given, kept under its version; else the one that was given last."""
    if wish.guideline is None:
        kept = folder / "guidelines" / f"{setup.guideline}.md"
        return Guideline(kept.read_text(encoding="utf-8")) if setup.guideline and kept.is_file() else Guideline()
    try:
        guideline = Guideline(wish.guideline.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise FolderError(
            f"{wish.guideline}: cannot be read as text ({error}), wanted a guideline in Markdown; check --guidelines"
        ) from None
    if guideline.version:
        write_atomic(folder / "guidelines" / f"{guideline.version}.md", guideline.text)
    return guideline


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
