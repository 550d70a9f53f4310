"""Records of the choice of a base model: its licence, what is known of each candidate, and how they did in a bake-off."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from provetune.records.base import Frozen, Record
from provetune.records.candidate import Method, ModelRef
from provetune.records.evaluation import Comparison, Evaluation
from provetune.stats.estimate import Estimate

Allowance = Literal["allowed", "not allowed", "undecided", "not asked"]


class LicenceTerms(Frozen):
    """What a licence asks, a sentence for each obligation, empty where there is none. A summary to sort by, no legal advice.

    `commercial`: `limited` where it depends on who uses it, or how. `version` is the date of the licence's text.
    """

    id: str
    name: str
    commercial: Literal["yes", "limited", "no"]
    attribution: str = ""
    name_required: str = ""
    derivative_naming: str = ""
    use_restrictions: str = ""
    user_cap: str = ""
    share_alike: bool = False
    note: str = ""
    version: str = ""
    source_url: str


def obligations_of(terms: LicenceTerms) -> list[str]:
    """What has to be done or left undone, in words, for people and for the papers that travel with the weights."""
    commercial = {"yes": "", "limited": "commercial use within limits", "no": "no commercial use"}[terms.commercial]
    parts = (terms.attribution, terms.name_required, terms.derivative_naming, terms.use_restrictions, terms.user_cap)
    shared = "what you make of it is shared under the same licence" if terms.share_alike else ""
    return list(dict.fromkeys(part for part in (commercial, *parts, shared) if part))


class BaseLicence(Record):
    """The licence of the base model that a project builds on, as it was found, and whether the project allows it.

    `found_in` is the place that named it; `terms` is None where the licence is unknown or not in our table.
    """

    SCHEMA: ClassVar[str] = "base_licence/1"
    model: str
    revision: str
    licence: str
    found_in: str
    allowance: Allowance
    licences_allowed: tuple[str, ...] | None
    terms: LicenceTerms | None
    declared_data: tuple[str, ...] | None


class Fertility(Frozen):
    """How a tokenizer cuts the user's own text: tokens per word (between blanks) and per character.

    `byte_share` of the tokens are pieces of a letter; `truncated_share` of the rows
    are longer than the context, the template around them included.
    """

    rows: int
    tokens_per_word: float
    tokens_per_character: float
    byte_share: float
    truncated_share: float
    longest: int


class BaseCandidate(Frozen):
    """One base as it stands, before anything is trained. What is not known is None; `note` says why it was left out, if it was."""

    name: str
    licence: str
    allowance: Allowance
    terms: LicenceTerms | None = None
    declared_data: tuple[str, ...] | None = None
    architecture: str = "unknown"
    parameters: int | None = None
    model: ModelRef | None = None
    fertility: Fertility | None = None
    method: Method | None = None
    fits: str = "unknown"
    memory_gib: Estimate | None = None
    duration_h: Estimate | None = None
    cost_usd: Estimate | None = None
    note: str = ""


class BakedTraining(Record):
    """The short tuning of one base, measured on the validation rows of the bake-off, and how long it took with its looks at them."""

    SCHEMA: ClassVar[str] = "baked_training/1"
    evaluation: Evaluation
    seconds: float


class BakedBase(Frozen):
    """How one base did in the bake-off: by prompting, and after a short tuning. `seconds_per_answer` with the rows in batches.

    `tier` 1 holds the best and all that are not told apart from it; `pareto` says that no other is as good in all three of quality,
    cost and latency and better in one.
    """

    name: str
    tier: int
    zero_shot: Estimate
    tuned: Estimate
    gain: Comparison
    tuning_seconds: float
    seconds_per_answer: float
    pareto: bool
    note: str = ""


class BaseComparison(Record):
    """Base models side by side, on validation rows alone; best first once they are `baked`."""

    SCHEMA: ClassVar[str] = "base_comparison/1"
    metric: str
    higher_is_better: bool
    licences_allowed: tuple[str, ...] | None
    candidates: tuple[BaseCandidate, ...]
    train_rows: int = 0
    validation_rows: int = 0
    method: Method | None = None
    budget_seconds: float | None = None
    confidence: float = 0.95
    baked: tuple[BakedBase, ...] = ()
    between: tuple[Comparison, ...] = ()
    sentence: str
    assumptions: tuple[str, ...] = Field(default=())
    prices_as_of: str = ""
