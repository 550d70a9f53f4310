"""Planted label noise is found, clean sets are hardly flagged, and nothing is judged without being asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from provetune.audit.label_errors import find_label_errors
from provetune.models.embedding import embedder
from provetune.spec import TaskSpec
from tests.unit.audit.public import asked, banking, hatecheck, static, with_wrong_labels
from tests.unit.audit.rows import NOUNS, VERBS, clean, example, found, inputs, only


@pytest.mark.slow
@pytest.mark.parametrize("vectors", ["static", "letters"])
@pytest.mark.parametrize("seed", [1, 2])
def test_noise_planted_in_banking77(vectors: str, seed: int, public_data: Path) -> None:
    """10 % wrong labels, half of them confusable: precision at least .5 at a recall of at least .75."""
    rows, model = banking(public_data), static(public_data) if vectors == "static" else embedder(None)
    given = asked(rows, model)
    before = find_label_errors(given)
    assert before is not None
    assert len(before.places) < 0.03 * len(rows)
    confused: dict[str, list[str]] = {}
    for place, like in zip(before.places, before.reads_like, strict=True):
        confused.setdefault(str(rows[place].label), []).append(like)
    noisy, wrong = with_wrong_labels(rows, 0.1, seed, confused)
    after = find_label_errors(replace(given, examples=noisy))
    assert after is not None
    flags = [noisy[place].id for place in after.places]
    assert len(wrong & set(flags)) / len(flags) >= 0.5
    assert len(wrong & set(flags)) / len(wrong) >= 0.75
    assert sum(row in wrong for row in flags[:50]) >= 45


def test_a_noisy_set_is_a_warning_and_a_clean_one_is_not(public_data: Path) -> None:
    rows = hatecheck(public_data)
    assert only(found("label_errors", asked(rows, static(public_data)))).severity == "info"
    noisy, wrong = with_wrong_labels(rows, 0.1, 1, {})
    finding = only(found("label_errors", asked(noisy, static(public_data))))
    assert (finding.severity, len(finding.example_ids)) == ("warning", 50)
    assert sum(row in wrong for row in finding.example_ids) >= 40
    assert "Never delete rows" in finding.remedy


def test_rare_labels_are_counted_and_not_judged() -> None:
    cards, loans = "a card that the {} {} in the {}", "paying back what the {} {} for the {}"
    words = [(noun, verb, NOUNS[place % 7]) for place, noun in enumerate(NOUNS) for verb in VERBS]
    rows = [example(n, (loans if n % 2 else cards).format(*words[n]), "ab"[n % 2]) for n in range(90)]
    rows[10] = example(10, loans.format(*words[10]), "a")
    rows += [example(100 + n, f"something else {words[n][0]}", "rare") for n in range(3)]
    finding = only(found("label_errors", asked(rows, embedder(None))))
    assert finding.example_ids == ("r10",)
    assert "'a' and reads like 'b'" in finding.message
    assert "3 rows of rare or unvaried labels were not judged" in finding.message


def test_labels_of_one_prompt_only_are_not_judged() -> None:
    rows = [example(n, f"{'loan' if n % 2 else 'card'} question, the same every time{'!' * n}", "ab"[n % 2]) for n in range(80)]
    assert found("label_errors", asked(rows, embedder(None))) == []


def test_nothing_is_judged_without_being_asked_or_without_labels() -> None:
    given = asked(clean(), embedder(None))
    assert find_label_errors(given) is not None
    assert find_label_errors(replace(given, label_errors=False)) is None
    assert find_label_errors(replace(given, embedder=None)) is None
    assert find_label_errors(replace(given, task=TaskSpec(type="generate"))) is None
    assert find_label_errors(asked(clean()[:40], embedder(None))) is None
    assert find_label_errors(asked([example(n, f"prompt {n}", "one") for n in range(60)], embedder(None))) is None
    assert find_label_errors(replace(inputs(clean()), label_errors=True)) is None


@pytest.mark.parametrize("prompt", ["", "???", "same words"])
def test_prompts_that_are_all_alike_cannot_be_judged(prompt: str) -> None:
    assert find_label_errors(asked([example(n, prompt, "ab"[n % 2]) for n in range(60)], embedder(None))) is None


def test_near_duplicates_do_not_vouch_for_each_other(public_data: Path) -> None:
    rows = banking(public_data)[:1500]
    text = rows[0].prompt_text
    planted = [example(90_000 + n, f"{text}{'!' * n}", str(rows[-1].label)) for n in range(4)]  # the same wrong label four times
    found_rows = find_label_errors(asked([*rows, *planted], static(public_data)))
    assert found_rows is not None
    flags = {([*rows, *planted])[place].id for place in found_rows.places}
    assert {row.id for row in planted} <= flags
