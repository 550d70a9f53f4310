"""Records of how a tuned model treats groups, beside its base on the same rows."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from provetune.records.base import Frozen, Record
from provetune.stats.estimate import Estimate

PanelStatus = Literal["judged", "shown", "too small to judge", "not measurable"]
PanelKind = Literal["flips", "gap", "slice", "bias"]


class FairnessPanel(Frozen):
    """One measure of base (`before`) and tuned model (`after`) on the same rows.

    `harm` is how much worse the tuned model is, in the measure's own units, at the two-sided confidence whose bounds are the
    one-sided ones: above 0 is worse (for a `gap`, which has no good side, it is after minus before and never judged). `floor_before`
    and `floor_after` are what asking the same twice changes. `values` are the rows that all of it is computed from (before, after,
    and for flips both floors), `groups` their groups; a slice names its rows in `example_ids` instead, and flips up to 50 rows
    whose answer changed after tuning.
    """

    kind: PanelKind
    panel: str
    name: str
    measure: str
    status: PanelStatus
    before: Estimate
    after: Estimate
    harm: Estimate
    margin: float
    rows: int
    not_measured: int = 0
    floor_before: Estimate | None = None
    floor_after: Estimate | None = None
    values: tuple[tuple[float, ...], ...] = ()
    groups: tuple[int, ...] = ()
    example_ids: tuple[str, ...] = Field(default=(), exclude_if=lambda value: value == ())


class SwapCount(Frozen):
    """Of the test prompts: how many have a counterpart in this category, and how many name it so that none is sure."""

    category: str
    first: str
    second: str
    swapped: int
    unsure: int


class GroupShare(Frozen):
    """How many rows name a group of people, among the rows trained on and among the test rows."""

    category: str
    group: str
    train: Estimate
    test: Estimate


class FairnessReport(Record):
    """What tuning changed for groups of people and for the slices of the project; `baseline` is the base model's candidate."""

    SCHEMA: ClassVar[str] = "fairness/1"
    candidate: str
    baseline: str
    panels: tuple[FairnessPanel, ...]
    swaps: tuple[SwapCount, ...] = ()
    representation: tuple[GroupShare, ...] = ()
    worst_slice: str = ""
    worst_gap: Estimate | None = None
    unresolved: dict[str, int] = Field(default_factory=dict)
    seconds: float = 0.0
