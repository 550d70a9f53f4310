"""What people said of the labels: the votes of labelling rounds, held against the file and against each other."""

from __future__ import annotations

from dataclasses import dataclass, field

from provetune.hashing import file_sha256, fingerprint
from provetune.labelling.agreement import agreement
from provetune.labelling.consensus import consensus
from provetune.labelling.queues import rows_fingerprint
from provetune.labelling.rounds import rounds_of
from provetune.labelling.votes import votes_by_row
from provetune.records.labels import Agreement
from provetune.store import StepKey
from provetune.workflow.label import LabelWish, open_labelling
from provetune.workflow.project import Project


@dataclass(frozen=True)
class Reviewed:
    """`wrong`: example id -> whether people gave it another label than the file has. `agreement` is None before the first vote.

    Only rows that a round drew at random or for review count as read, and rows on which the annotators agree: rows that were chosen
    because a model is unsure of them say nothing about the others.
    """

    wrong: dict[str, bool] = field(default_factory=dict)
    agreement: Agreement | None = None


def reviewed_labels(project: Project) -> Reviewed:
    """What the project's labelling rounds say so far; agreement is computed once for the same votes, into the open run."""
    votes_file = project.folder / "labels" / "votes.jsonl"
    if not votes_file.is_file():
        return Reviewed()
    work = open_labelling(LabelWish(project.folder))
    held, aside = work.held()
    drawn = {row.example_id for queue in rounds_of(work.folder) for row in queue.rows if row.reason in ("random", "review")}
    said = {row: consensus(votes).label for row, votes in votes_by_row(held).items() if row in drawn}
    wrong = {e.id: said[e.id] != e.label for e in project.examples if e.label is not None and said.get(e.id) is not None}
    told = fingerprint([rows_fingerprint(work.rows), work.labels, work.scale])
    key = StepKey("agreement", 1, {"votes": file_sha256(votes_file), "told": told})
    found = project.store.once(key, Agreement, lambda: agreement(work.rows, held, aside, work.labels, work.scale))
    return Reviewed(wrong, found if found.voted else None)
