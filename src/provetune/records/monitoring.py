"""Records of watching: what is compared against, what was found at a look, what is proposed, how a retune went."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from provetune.records.base import Frozen, Record
from provetune.stats.estimate import Estimate

Found = Literal["drift", "slight", "none", "not comparable"]
"""`slight` is significant but below the floor from which on somebody should act."""
Family = Literal["main", "side", "slice"]
Stage = Literal[
    "serving", "review", "collect", "train", "gate", "shadow", "canary", "promoted", "held", "inconclusive", "rolled_back", "abandoned"
]
"""Where a retune stands; the last five end it."""
Reason = Literal["harm", "clock", "drift with harm", "by hand"]


class MonitoringReference(Record):
    """Rows that were held out of training, frozen: `rows_sha256` names them in order. `error` is the model's share of wrong rows on them.

    `masks` is the version of the masking that decides what counts as the same text; another version means a new reference.
    """

    SCHEMA: ClassVar[str] = "monitoring_reference/1"
    release: str = ""
    path: str
    rows_sha256: str
    rows: int
    masks: int
    error: Estimate | None = None


class NewTerm(Frozen):
    """A word that more texts of the window hold than chance explains: in how many texts of each side, and Holm's p-value over all words."""

    term: str
    reference: int
    window: int
    p_value: float
    example: str


class DriftSignal(Frozen):
    """What one detector found. `p_value` is its own, `adjusted` after Holm within its family; it counts where adjusted <= level.

    `effect` (`effect_name` says of what) and, for texts, `new_share` (share of texts with new words) say how large it is, and `large`
    whether that is at the floor. `slice` names the part of the rows, empty for all. Counts are distinct texts.
    """

    detector: str
    family: Family
    found: Found
    sentence: str
    p_value: float | None = None
    adjusted: float | None = None
    level: float | None = None
    effect: Estimate | None = None
    effect_name: str = ""
    new_share: Estimate | None = None
    large: bool = False
    terms: tuple[NewTerm, ...] = ()
    examples: tuple[str, ...] = ()
    slice: str = ""
    reference_rows: int = 0
    window_rows: int = 0


class HarmReading(Frozen):
    """What the labels say: losses counted, their mean, the claim they are tested against, and the two statistics.

    `claim` is the upper bound of the held-out error plus the tolerance. `wealth` alarms at `wealth_alarm` (its highest counts), `run` at
    `run_alarm`. `weak` are losses from feedback or a judge, tested on their own and never proposing alone.
    """

    claim: float
    labels: int
    error: Estimate
    wealth: float
    wealth_alarm: float
    run: float
    run_alarm: float
    alarm: bool
    weak: int = 0
    weak_error: Estimate | None = None
    weak_alarm: bool = False
    needed: int | None = None


class ClockReading(Frozen):
    """When the next evaluation is due (UTC), and whether that moment has come. Days."""

    evaluated_at: str
    every_days: int
    due_at: str
    is_due: bool


class DriftReport(Record):
    """One look at the traffic. `found` is the verdict of all detectors together at `alpha`, this look's share of the whole.

    `counts` says what became of every event since the last look. `to_label` are ids of rows whose labels would decide most.
    """

    SCHEMA: ClassVar[str] = "drift_report/1"
    reference: str
    release: str = ""
    look: int = 1
    of_looks: int = 1
    at: str = ""
    alpha: float
    found: Found
    sentence: str
    signals: tuple[DriftSignal, ...]
    counts: dict[str, int] = Field(default_factory=dict)
    harm: HarmReading | None = None
    clock: ClockReading | None = None
    proposal: str = ""
    to_label: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class RetrainProposal(Record):
    """A new tuning is proposed, and why. The same `trigger` is proposed once.

    `new_rows` labelled rows are there, `wanted_rows` are wanted before it may start; `expected_gain` is by the learning curve, None where
    no curve was measured, and `cost_usd` that of the last training, None where it is not known.
    """

    SCHEMA: ClassVar[str] = "retrain_proposal/1"
    trigger: str
    at: str
    release: str
    reasons: tuple[Reason, ...]
    sentence: str
    report: str
    new_rows: int
    wanted_rows: int
    expected_gain: Estimate | None = None
    cost_usd: float | None = None


class Transition(Record):
    """One line of the history of a retune: who moved it where, why, and the fingerprint of the evidence. Lines are only ever added."""

    SCHEMA: ClassVar[str] = "retune_transition/1"
    trigger: str
    stage: Stage
    at: str
    actor: str
    reason: str
    evidence: str = ""


class Bets(Frozen):
    """Betting on losses between two moments; see `provetune.stats.sequential.Betting`. `total` is the sum of the losses."""

    claim: float
    seen: int = 0
    total: float = 0.0
    products: tuple[float, ...] = ()
    sums: tuple[float, ...] = ()
    highest: float = 0.0


class MonitorState(Record):
    """What is remembered between looks, written in one piece with the events it counts.

    `reference` is the fingerprint of the reference it counts against. `evaluated_at` is when the model was last evaluated: the clock runs
    from there. `looks` and `drifting_looks` (with drift, without a break) are since then. `counts` are of the open window, `totals` of all
    time. `asked` is what beside the interval asked for the last look,
    `triggers` are the proposals made so far, `unsent` the looks whose notice has not gone out.
    """

    SCHEMA: ClassVar[str] = "monitor_state/1"
    reference: str = ""
    evaluated_at: str = ""
    looked_at: str = ""
    looks: int = 0
    drifting_looks: int = 0
    moved: bool = False
    counts: dict[str, int] = Field(default_factory=dict)
    totals: dict[str, int] = Field(default_factory=dict)
    harm: Bets | None = None
    weak: Bets | None = None
    asked: str = ""
    triggers: tuple[str, ...] = ()
    unsent: tuple[str, ...] = ()


class PlantedDrift(Frozen):
    """What became of one planted drift: shares of the runs, medians of those that noticed, alarms of all runs before it began."""

    plant: str
    noticed: float
    requests_to_notice: int | None
    harmed: float
    labels_to_harm: int | None
    false_notices: int
    false_harms: int


class WatchSimulation(Record):
    """Traffic played from a user's own rows with drift planted into it, for a stand-in model that errs in `base_error` of the requests."""

    SCHEMA: ClassVar[str] = "watch_simulation/1"
    weeks: int
    requests: int
    labels: int
    planted_week: int
    share: float
    base_error: float
    runs: int
    plants: tuple[PlantedDrift, ...]
