"""Rows longer than the model can read, and the token profile."""

from __future__ import annotations

from dataclasses import replace

from provetune.audit import audit
from provetune.spec import FailOnSpec
from tests.unit.audit.rows import clean, example, found, inputs, only


def test_rows_longer_than_the_context() -> None:
    rows = [*clean(), example(99, "long " * 30, "cards"), example(100, "longer " * 40, "cards")]
    finding = only(found("lengths", inputs(rows)))
    assert (finding.severity, finding.count, finding.example_ids) == ("blocker", 2, ("r100", "r99"))
    assert "120 tokens" in finding.message
    many = rows[:81] + [example(200 + number, f"short {number}", "fees") for number in range(40)]
    assert only(found("lengths", inputs(many))).severity == "warning"  # 1 of 121
    assert only(found("lengths", replace(inputs(many), fail_on=FailOnSpec(truncated_share=0.0)))).severity == "blocker"


def test_the_token_profile_counts_every_token() -> None:
    rows = [example(1, "ab", "yes"), example(2, "abcd", "no"), example(3, "x" * 200, "no")]
    profile = audit(inputs(rows), "data").tokens
    assert profile is not None
    # begin + "user:" + prompt + end + begin + "assistant:" + target + end
    lengths = [1 + 5 + prompt + 1 + 1 + 10 + target + 1 for prompt, target in ((2, 3), (4, 2), (200, 2))]
    assert (profile.median, profile.longest, profile.total) == (lengths[1], lengths[2], sum(lengths))
    assert profile.supervised_total == 4 + 3 + 3
    assert (profile.over_context, profile.context_length, profile.tokenizer) == (1, 120, "unnamed")
