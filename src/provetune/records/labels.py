"""Records of labelling: votes, the rows of a round, agreement."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from provetune.records.base import Frozen, Record
from provetune.stats.agreement import Scale
from provetune.stats.estimate import Estimate

QueueKind = Literal["random", "review", "active", "adjudicate"]
Reason = Literal["random", "review", "uncertain", "least covered", "undecided"]
VoteAction = Literal["vote", "skip", "undo"]
VoteSource = Literal["page", "sheet", "label-studio", "argilla"]
AgreementLevel = Literal["reliable", "tentative", "revise the guideline", "not enough shared rows", "not measured"]


class Vote(Frozen):
    """One line of votes.jsonl: what one annotator did with one row. Their latest line about a row holds; `undo` takes it back.

    `row` is the hash of the prompt that was shown, `guideline` that of the guideline (empty without one), `at` is UTC. `decides` marks the
    word of the person who adjudicates, or a ground truth: it outranks the others and does not count for agreement.
    """

    example_id: str
    row: str
    annotator: str
    action: VoteAction
    value: str | None = None
    comment: str = ""
    guideline: str = ""
    at: str
    source: VoteSource = "page"
    decides: bool = False


class QueuedRow(Frozen):
    """One row of a round: why it was chosen, and whether every annotator gets it."""

    example_id: str
    reason: Reason
    shared: bool


class LabelQueue(Record):
    """The rows of one round, in order. `held_out` rows are kept for the test split: only chance may choose them."""

    SCHEMA: ClassVar[str] = "label_queue/1"
    kind: QueueKind
    number: int
    dataset: str
    seed: int
    overlap: float
    rows: tuple[QueuedRow, ...]
    held_out: tuple[str, ...] = ()


class AnnotatorCount(Frozen):
    """How many rows one annotator voted on and skipped."""

    annotator: str
    votes: int
    skips: int


class ClassCount(Frozen):
    """One label: its share of the votes, and how often a second annotator chose it where a first one did."""

    label: str
    prevalence: Estimate
    agreement: Estimate


class PairAgreement(Frozen):
    """Two annotators on the rows that both voted on: share of equal votes, Cohen's kappa; for free text ROUGE-L instead."""

    first: str
    second: str
    equal: Estimate
    kappa: Estimate | None = None
    rouge_l: Estimate | None = None


class Agreement(Record):
    """Inter-annotator agreement of the independent votes on one data set; what is absent was not measured.

    `level` is judged by the interval of alpha, never by its value: reliable from 0.8 (low end), tentative from 0.667 (low end), revise the
    guideline below 0.667 (high end).
    """

    SCHEMA: ClassVar[str] = "agreement/1"
    dataset: str
    rows: int
    voted: int
    shared: int
    undecided: int
    set_aside: int
    annotators: tuple[AnnotatorCount, ...]
    guidelines: dict[str, int] = Field(default_factory=dict)
    scale: Scale | None
    alpha: Estimate | None
    fleiss: Estimate | None = None
    classes: tuple[ClassCount, ...] = ()
    pairs: tuple[PairAgreement, ...] = ()
    level: AgreementLevel


class LabelSetup(Record):
    """What the first annotator was told and every further one is told too. `labels` empty: those of the data; none there: free text."""

    SCHEMA: ClassVar[str] = "label_setup/1"
    labels: tuple[str, ...] = ()
    scale: Scale = "nominal"
    guideline: str = ""
