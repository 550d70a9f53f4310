"""Records of measuring and judging: evaluations, comparisons, verdicts, the decision, the evidence."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from provetune.records.base import Frozen, Record
from provetune.records.candidate import Candidate
from provetune.records.data import Outcome as Outcome
from provetune.stats.estimate import Estimate

Part = Literal["validation", "test"]
DecisionOutcome = Literal["ship", "hold", "inconclusive"]
RuleKind = Literal["beats_baseline", "not_worse_than", "at_least", "at_most", "audit"]


class Prediction(Frozen):
    """What a candidate wrote for one example; `text` None means not measured, with the reason in `error`."""

    example_id: str
    text: str | None
    completion_tokens: int = 0
    stopped: bool = True
    error: str | None = None


class Evaluation(Record):
    """One candidate measured on one part.

    `observations[metric]` holds one row of numbers per example, or None where the example was not measured; a metric's
    aggregate is a function of these rows alone.
    """

    SCHEMA: ClassVar[str] = "evaluation/1"
    candidate: Candidate
    part: Part
    example_ids: tuple[str, ...]
    group_ids: tuple[str, ...]
    metrics: dict[str, str]
    observations: dict[str, tuple[tuple[float, ...] | None, ...]]
    summary: dict[str, Estimate]
    parsed: Estimate
    not_measured: int
    predictions_file: str
    seconds: float
    prompt_tokens: int
    completion_tokens: int


class Comparison(Frozen):
    """Candidate minus baseline on the same examples; positive is better."""

    candidate: str
    baseline: str
    metric: str
    difference: Estimate
    p_value: float | None
    p_method: str
    wins: int
    ties: int
    losses: int


class GateRule(Frozen):
    """One condition, fixed before training."""

    name: str
    kind: RuleKind
    metric: str = ""
    baseline: str = ""
    margin: float = 0.0
    confidence: float = 0.95


class Verdict(Frozen):
    """What one rule says, from the bound of an interval."""

    rule: GateRule
    outcome: Outcome
    observed: Estimate | None
    reason: str
    more_examples: int | None = None


class Opening(Frozen):
    """One line of the ledger: the test split was read. `row_hashes` name the rows by what they say."""

    at: str
    reason: str
    run: str
    spec: str
    test_sha256: str
    row_hashes: tuple[str, ...]
    rows: int = 0
    candidates: tuple[str, ...]


class Decision(Record):
    """The outcome, and everything it was computed from by name."""

    SCHEMA: ClassVar[str] = "decision/1"
    outcome: DecisionOutcome
    sentence: str
    next_step: str
    champion: str
    verdicts: tuple[Verdict, ...]
    opening: int
    confidence: float


class Evidence(Record):
    """All that is needed to compute the decision again, in one file."""

    SCHEMA: ClassVar[str] = "evidence/1"
    project: str
    made_at: str
    made_by: str
    environment: dict[str, str]
    fixed_before_training: dict[str, str]
    rules: tuple[GateRule, ...]
    audit_blockers: tuple[str, ...]
    labels: tuple[str, ...]
    champion: str
    evaluations: tuple[Evaluation, ...]
    comparisons: tuple[Comparison, ...]
    openings: tuple[Opening, ...]
    decision: Decision
    records: dict[str, str] = Field(default_factory=dict)
