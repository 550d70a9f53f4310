"""Records of measuring and judging: evaluations, comparisons, verdicts, the decision, the evidence."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from provetune.records.base import Frozen, Record
from provetune.records.blind_votes import VoteReport
from provetune.records.candidate import Candidate
from provetune.records.data import Outcome as Outcome
from provetune.records.fairness import FairnessReport
from provetune.records.folds import FoldReport
from provetune.records.retention import RetentionReport
from provetune.records.roi import ReturnReport
from provetune.stats.estimate import Estimate

Part = Literal["validation", "test"]
DecisionOutcome = Literal["ship", "hold", "inconclusive"]
VerdictOutcome = Literal["pass", "fail", "inconclusive", "not judged"]
RuleKind = Literal["beats_baseline", "not_worse_than", "at_least", "at_most", "audit"]


class Prediction(Frozen):
    """What a candidate wrote for one example; `text` None means not measured, with the reason in `error`.

    `shot_ids` are the training rows that stood in this row's prompt alone.
    """

    example_id: str
    text: str | None
    completion_tokens: int = 0
    stopped: bool = True
    error: str | None = None
    shot_ids: tuple[str, ...] = Field(default=(), exclude_if=lambda value: value == ())


class Evaluation(Record):
    """One candidate measured on one part.

    `observations[metric]` holds one row of numbers per example, or None where the example was not measured; a metric's
    aggregate is a function of these rows alone. `label_prior` is what calibrated probabilities of the labels were divided by (its mean
    over the rows where each has its own), `shots_left_out` counts over all rows the shots of their own that found no room, `kept` the
    completions that were there from before and took none of the `seconds`.
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
    label_prior: tuple[float, ...] = Field(default=(), exclude_if=lambda value: value == ())
    shots_left_out: int = Field(default=0, exclude_if=lambda value: value == 0)
    kept: int = Field(default=0, exclude_if=lambda value: value == 0)


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
    """One condition, fixed before training.

    With a `panel` (a retention suite, or one of a FairnessReport) `metric` names its skill or its panel's name and `baseline` the base.
    """

    name: str
    kind: RuleKind
    metric: str = ""
    baseline: str = ""
    margin: float = 0.0
    confidence: float = 0.95
    panel: str = Field(default="", exclude_if=lambda value: value == "")


class Verdict(Frozen):
    """What one rule says, from the bound of an interval; `not judged` decides nothing."""

    rule: GateRule
    outcome: VerdictOutcome
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


class SpreadAgainst(Frozen):
    """Difference to one baseline: of the recipe (for new seeds and examples), of each seed, and its standard deviation between seeds."""

    baseline: str
    recipe: Estimate
    of_each_seed: tuple[float, ...]
    between_seeds: float


class SeedReport(Record):
    """Trainings that differ by their seed alone, each on the test split as it was tuned; beside the verdict, deciding nothing."""

    SCHEMA: ClassVar[str] = "seeds/1"
    metric: str
    seeds: tuple[int, ...]
    evaluations: tuple[Evaluation, ...]
    against: tuple[SpreadAgainst, ...]


class Evidence(Record):
    """All that is needed to compute the decision again, in one file.

    `prompts_tried` counts for each candidate on test the prompts among which it was chosen on validation.
    """

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
    retention: RetentionReport | None = Field(default=None, exclude_if=lambda value: value is None)
    fairness: FairnessReport | None = Field(default=None, exclude_if=lambda value: value is None)
    seeds: SeedReport | None = Field(default=None, exclude_if=lambda value: value is None)
    folds: FoldReport | None = Field(default=None, exclude_if=lambda value: value is None)
    human: VoteReport | None = Field(default=None, exclude_if=lambda value: value is None)
    roi: ReturnReport | None = Field(default=None, exclude_if=lambda value: value is None)
    prompts_tried: dict[str, int] = Field(default_factory=dict, exclude_if=lambda value: value == {})
