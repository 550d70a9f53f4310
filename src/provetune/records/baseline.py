"""The record of what prompting reaches before anything is tuned."""

from __future__ import annotations

from typing import ClassVar, Literal

from provetune.records.base import Frozen, Record
from provetune.records.candidate import Candidate, CandidateKind
from provetune.stats.estimate import Estimate


class StrategyResult(Frozen):
    """The best variant of one strategy on the validation rows. Tokens are means of a request, None where nobody counted them."""

    name: str
    kind: CandidateKind
    candidate: Candidate
    variants: int
    value: Estimate
    usable: Estimate
    not_measured: int
    prompt_tokens: float | None
    completion_tokens: float | None
    seconds_per_1000: float | None
    usd_per_1000: float | None


class BaselineReport(Record):
    """Every strategy, the best first; what is left above it, and the smallest gain that the test rows can prove.

    `discordance` is the share of validation rows that the two best prompts answer with different success, None where it could not
    be measured; `provable` maps the assumed or measured discordance, as text, to that gain (None: no gain can be proven).
    """

    SCHEMA: ClassVar[str] = "baseline_report/1"
    metric: str
    higher_is_better: bool
    results: tuple[StrategyResult, ...]
    validation_rows: int
    test_rows: int
    discordance: float | None
    provable: dict[str, float | None]
    worth_trying: Literal["yes", "no", "unclear"]
    sentence: str

    @property
    def best_prompt(self) -> StrategyResult | None:
        """The strongest opponent that is a prompt."""
        return next((result for result in self.results if result.kind in ("prompt", "endpoint")), None)
