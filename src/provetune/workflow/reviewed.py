"""What people said of the labels: the votes of labelling rounds, held against the file."""

from __future__ import annotations

from provetune.labelling.consensus import consensus
from provetune.labelling.rounds import rounds_of
from provetune.labelling.votes import votes_by_row
from provetune.workflow.label import LabelWish, open_labelling
from provetune.workflow.project import Project


def reviewed_labels(project: Project) -> dict[str, bool]:
    """Example id -> whether people gave it another label than the file has; empty before the first round.

    Only rows that a round drew at random or for review count, and rows on which the annotators agree: rows that were chosen because a
    model is unsure of them say nothing about the others.
    """
    if not (project.folder / "labels" / "votes.jsonl").is_file():
        return {}
    work = open_labelling(LabelWish(project.folder))
    held, _ = work.held()
    drawn = {row.example_id for queue in rounds_of(work.folder) for row in queue.rows if row.reason in ("random", "review")}
    said = {row: consensus(votes).label for row, votes in votes_by_row(held).items() if row in drawn}
    return {e.id: said[e.id] != e.label for e in project.examples if e.label is not None and said.get(e.id) is not None}
