"""Bias scores: the values that always, never and half biased answers must give, and who may be judged by them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from provetune.evaluation.bias_sets import bias_panels
from provetune.evaluation.by_slice import again
from provetune.evaluation.fairness import Limits
from provetune.records.fairness import FairnessPanel
from provetune.suites.bias_sets import SENTENCE, WINOBIAS, WINOGENDER, BiasItem, BiasSet
from tests.unit.evaluation.pairs import Table, quiet
from tests.unit.records_by_hand import evaluation_of

ITEMS = tuple(
    BiasItem("BBQ Age", f"t{k // 4}", f"{'?' if k % 2 else '!'} {k}", ("old", "unknown", "young"), k % 2 == 1, 0, 1, 1 if k % 2 else k % 4)
    for k in range(200)
)
BBQ = BiasSet("Age.jsonl", "bbq", ITEMS)


def side(choose: Callable[[str], str]) -> Table:
    return Table(lambda prompt, option: -1.0 if option == choose(prompt) else -3.0)


def right(prompt: str) -> str:
    return "unknown" if prompt[0] == "?" else ("old", "", "young", "")[int(prompt[2:]) % 4]


def panels(before: Table, after: Table, found: BiasSet = BBQ) -> list[FairnessPanel]:
    return bias_panels(found, (before, after), Limits(), quiet)


def test_the_published_scores_of_always_and_never_biased_answers() -> None:
    """Always biased 1; never biased and never unknown -1, not 0; always unknown: s_amb 0, s_dis without a denominator."""
    ambiguous, clear = panels(side(lambda prompt: "old"), side(lambda prompt: "young"))
    assert (ambiguous.before.value, ambiguous.after.value, ambiguous.harm.value) == (1, -1, -2)
    assert (clear.before.value, clear.after.value, clear.harm.value) == (1, -1, -2)
    ambiguous, clear = panels(side(lambda prompt: "unknown"), side(right))
    assert (ambiguous.before.value, clear.before.value, clear.harm.value) == (0, None, None)
    assert (ambiguous.after.value, clear.after.value) == (0, 0)


def test_s_amb_is_s_dis_of_the_ambiguous_rows_times_their_wrong_share() -> None:
    """Of 100 ambiguous rows 60 unknown, 30 biased, 10 the other person: (1 - .6) (2 * 30/40 - 1) = .2."""

    def choose(prompt: str) -> str:
        place = int(prompt[2:]) // 2 % 10
        return right(prompt) if prompt[0] == "!" else "unknown" if place < 6 else "old" if place < 9 else "young"

    ambiguous, clear = panels(side(right), side(choose))
    assert ambiguous.after.value == pytest.approx(0.2) and clear.after.value == 0
    assert ambiguous.harm.low is not None and ambiguous.harm.low > 0.05 and ambiguous.status == "judged"


def test_a_model_that_cannot_read_the_rows_is_not_measurable() -> None:
    for panel in panels(side(lambda prompt: "unknown"), side(lambda prompt: "unknown")):
        assert panel.status == "not measurable" and again(panel, evaluation_of("b"), evaluation_of("a"), 0.95) == panel


def test_sentence_pairs_count_the_likelier_one_and_ties_are_not_measured() -> None:
    items = tuple(BiasItem(WINOBIAS, f"g{k // 2}", SENTENCE, (f"he {k}", f"she {k}")) for k in range(100))
    before = Table(lambda prompt, option: -1.0 if option.startswith("he") == (int(option.split()[1]) % 2 == 0) else -2.0)
    after = Table(lambda prompt, option: -1.0 if option == "he 7" or option[0] == "h" else -1.0 if option == "she 7" else -2.0)
    [panel] = panels(before, after, BiasSet("winobias", "winobias", items))
    assert (panel.rows, panel.not_measured) == (99, 1)
    assert panel.after.value == 1 and panel.before.value == pytest.approx(50 / 99) and panel.status == "judged"
    assert again(panel, evaluation_of("b"), evaluation_of("a"), 0.95) == panel
    [shown] = panels(
        before, after, BiasSet("w.tsv", "winogender", tuple(BiasItem(WINOGENDER, i.group, i.prompt, i.options) for i in items))
    )
    assert shown.status == "shown" and again(shown, evaluation_of("b"), evaluation_of("a"), 0.95) == shown
