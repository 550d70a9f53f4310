"""Numbers and untrusted text as a reader may safely see them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from provetune.stats.estimate import Estimate

if TYPE_CHECKING:
    from provetune.records.evaluation import GateRule
    from provetune.records.roi import Reach

# Control characters, direction marks, lone surrogates: invisible, or able to reorder the words around them.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]")

KIND_WORDS = {
    "prompt": "prompt on the base model",
    "adapter": "tuned adapter",
    "head": "classification head",
    "full": "fully tuned model",
    "linear": "linear classifier",
    "endpoint": "hosted model",
    "recorded": "recorded predictions",
}
METHOD_WORDS = {
    "full": "full fine-tuning",
    "lora": "LoRA adapter",
    "qlora": "QLoRA adapter (4-bit base)",
    "dpo": "LoRA adapter, DPO on pairs",
    "orpo": "LoRA adapter, ORPO on pairs",
    "head": "classification head on the frozen base",
}
DECISION_WORDS = {"ship": "SHIP", "hold": "HOLD", "inconclusive": "NOT ENOUGH EVIDENCE"}
OUTCOME_WORDS = {"pass": "pass", "fail": "fail", "inconclusive": "not enough evidence", "not judged": "does not decide"}
METRIC_WORDS = {
    "accuracy": "share of examples with the right label",
    "f1_macro": "F1 score, every label counting the same",
    "exact_match": "share of completions equal to the target",
    "rouge_l": "overlap of words in order with the target (ROUGE-L)",
    "balanced_accuracy": "share of right labels, every label counting the same",
    "mcc": "correlation of right and named label",
    "ece": "gap between confidence and share of right labels; less is better",
    "brier": "squared error of the labels' probabilities; less is better",
    "token_f1": "words shared with the target, in any order",
    "chrf": "characters in a row shared with the target",
    "json_valid": "share of completions that are JSON",
    "schema_valid": "share of completions that keep to the schema",
    "field_f1": "fields with the right value, against missing and wrong ones",
    "tool_calls": "share of completions with the right calls of tools",
    "instructions": "share of the row's instructions that are followed",
    "abstention": "answers where there is one, says so where there is none; both count the same",
}


def visible(text: str) -> str:
    r"""Make every unseen character visible; line feeds and tabs stay.

    >>> visible("a\x00b\r\nc")
    'a⟨U+0000⟩b\nc'
    """
    return _UNSEEN.sub(lambda m: f"⟨U+{ord(m[0]):04X}⟩", text.replace("\r\n", "\n"))


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters of `text`; says so where something was cut.

    >>> shorten("abcdef", 3)
    'abc … (cut: first 3 of 6 characters)'
    """
    return text if len(text) <= limit else f"{text[:limit]} … (cut: first {limit:,} of {len(text):,} characters)"


def shown(value: Any) -> Any:
    """What a template prints: text made visible, None as "not recorded", own markup untouched."""
    if value is None:
        return "not recorded"
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def estimate_text(estimate: Estimate | None, signed: bool = False) -> str:
    """Value and interval, three decimals; `signed` for differences.

    >>> estimate_text(Estimate(0.041, 0.02, 0.0604, 212, 0.95, "bootstrap"), signed=True)
    '+0.041 [+0.020, +0.060]'
    """
    if estimate is None or estimate.value is None:
        return "not measured"
    sign = "+" if signed else ""
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:{sign}.3f} [no interval]"
    return f"{estimate.value:{sign}.3f} [{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}]"


def amount_text(estimate: Estimate, digits: int = 2) -> str:
    """Value and range of a planned amount (memory, hours, money).

    >>> amount_text(Estimate(1.5, 1.25, 1.75, 0, 0.9, "model"))
    '1.50 [1.25, 1.75]'
    """
    if estimate.value is None:
        return "unknown"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.{digits}f}"
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def money_text(estimate: Estimate | None) -> str:
    """US dollars, with their interval where there is one; as many digits as a small price needs.

    >>> money_text(Estimate(12.5, 10.0, 15.0, 40, 0.95, "")), money_text(Estimate(0.00123, None, None, 0, 0.95, "")), money_text(None)
    ('12.50 [10.00, 15.00]', '0.00123', 'unknown')
    """
    if estimate is None or estimate.value is None:
        return "unknown"
    shown = [
        f"{usd:,.2f}" if abs(usd) >= 1 or usd == 0 else f"{usd:.3g}"
        for usd in (estimate.value, estimate.low, estimate.high)
        if usd is not None
    ]
    return shown[0] if len(shown) == 1 else f"{shown[0]} [{shown[1]}, {shown[2]}]"


def reach_text(reach: Reach | None, digits: int) -> str:
    """A volume or a time that is reached, perhaps never.

    >>> from provetune.records.roi import Reach
    >>> reach_text(Reach(value=1234.5, low=900, high=None), 0), reach_text(Reach(value=None, low=None, high=None), 1)
    ('1,234 [900, never]', 'never [never, never]')
    """
    if reach is None:
        return "unknown"
    value, low, high = ("never" if one is None else f"{one:,.{digits}f}" for one in (reach.value, reach.low, reach.high))
    return f"{value} [{low}, {high}]"


def number_text(value: float | int | str | bool | None) -> str:
    """A number as people write it; text is left alone.

    >>> number_text(6912000), number_text(0.0002), number_text(True)
    ('6,912,000', '0.0002', 'yes')
    """
    if value is None:
        return "not recorded"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else value


def duration_text(seconds: float) -> str:
    """Seconds below two minutes, then minutes, then hours.

    >>> duration_text(3.21), duration_text(754), duration_text(9000)
    ('3.2 s', '12.6 min', '2.5 h')
    """
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def moment_text(text: str) -> str:
    """A time stamp as people write it; any other text is left alone.

    >>> moment_text("2026-11-22T10:15:00Z"), moment_text("yesterday")
    ('2026-11-22 10:15 UTC', 'yesterday')
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if moment.tzinfo else f"{moment:%Y-%m-%d %H:%M}"


def key_text(name: str) -> str:
    """A key of a record as words.

    >>> key_text("test_sha256")
    'test sha256'
    """
    return name.replace("_", " ")


def metric_text(name: str) -> str:
    """A metric's name with its meaning, where it is one of the common ones."""
    return f"{name} ({METRIC_WORDS[name]})" if name in METRIC_WORDS else name


def rule_text(rule: GateRule) -> str:
    """What a rule demands.

    >>> from provetune.records.evaluation import GateRule
    >>> rule_text(GateRule(name="a", kind="beats_baseline", metric="accuracy", baseline="few-shot", margin=0.02))
    'accuracy better than few-shot by more than 0.02'
    """
    metric = rule.metric or "score"
    return {
        "beats_baseline": f"{metric} better than {rule.baseline} by more than {rule.margin:g}",
        "not_worse_than": f"{metric} not worse than {rule.baseline} by {rule.margin:g} or more",
        "at_least": f"{metric} at least {rule.margin:g}",
        "at_most": f"{metric} at most {rule.margin:g}",
        "audit": "no blocker in the audit of the data",
    }[rule.kind]
