"""What every check of the audit promises, whatever the rows say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as with_rows
from hypothesis import strategies as st

from provetune.audit import CHECKS, AuditInput, audit
from provetune.models.embedding import embedder
from provetune.records.data import Example, Finding, Message
from provetune.similarity import example_groups
from provetune.spec import PersonalDataSpec, TaskSpec
from provetune.stats.estimate import Estimate
from tests.unit.audit.rows import TOKENIZER, TOPICS, clean, encode, example

GARBAGE = [
    "",
    " ",
    "\x00",
    "\ufeff",
    "🏴\U000e0067",
    "\u202eevil",
    "null",
    "[" * 3000,
    "a" * 3000,
    "日本語",
    "NaN",
    "{}",
    "<b>&amp;",
    "Ã©",
]
TASKS = ("classify", "extract", "generate", "chat")
SCHEMA = {"type": "object", "required": ["a"]}


def told(rows: list[Example], task: str, test: list[Example] | None) -> AuditInput:
    """All that a check could be given."""
    return AuditInput(
        examples=rows,
        task=TaskSpec.model_validate({"type": task}),
        tokenizer=TOKENIZER,
        encode=encode,
        groups=example_groups(rows),
        test_examples=test,
        embedder=embedder(None),
        label_errors=True,
        json_schema=SCHEMA if task == "extract" else None,
        personal_data=PersonalDataSpec(),
        suites={"arithmetic": ["what is two and two", *(row.prompt_text for row in rows[:3])]},
    )


SETS: dict[str, Callable[[], list[Example]]] = {
    "no rows": list,
    "one row": lambda: [example(1, "a question", "cards")],
    "equal rows": lambda: [example(n, "the same question", "cards") for n in range(60)],
    "equal prompts": lambda: [example(n, "the same question", TOPICS[n % 4]) for n in range(60)],
    "garbage": lambda: [example(n, text, GARBAGE[-1 - n]) for n, text in enumerate(GARBAGE)],
    "much garbage": lambda: [example(n, GARBAGE[n % len(GARBAGE)], GARBAGE[n * 7 % len(GARBAGE)]) for n in range(80)],
    "no labels": lambda: [row.model_copy(update={"label": None}) for row in clean()],
    "system lines only": lambda: [example(n, "", "cards", system="be kind") for n in range(5)],
}


def promises(name: str, found: list[Finding], inputs: AuditInput) -> None:
    """Asserts everything that holds for any finding."""
    ids = {row.id for row in inputs.examples}
    for finding in found:
        assert finding.check == name
        assert set(finding.example_ids) <= ids, "ids exist"
        assert len(finding.example_ids) == len(set(finding.example_ids)) <= 50, "ids are named once, at most 50"
        assert finding.count >= 0
        assert finding.message.strip() and finding.remedy.strip(), "a message and a remedy stand"
        if isinstance(finding.observed, Estimate):
            observed = finding.observed
            assert observed.value is not None and observed.low is not None and observed.high is not None, "a share has its interval"
            assert observed.low - 1e-9 <= observed.value <= observed.high + 1e-9
            assert observed.n >= 1
        assert Finding.model_validate_json(finding.model_dump_json()) == finding, "it can be written and read"


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("rows", SETS)
def test_every_set_of_rows_is_judged_without_an_error(rows: str, task: str) -> None:
    made = SETS[rows]()
    for test in (None, clean()[:30], made[:3]):
        inputs = told(made, task, test)
        for name, check in CHECKS.items():
            promises(name, check(inputs), inputs)


def test_checks_change_nothing_and_say_the_same_twice() -> None:
    rows = [*clean(), *SETS["garbage"](), *clean()[:5]]
    rows = [row.model_copy(update={"id": f"{place}"}) for place, row in enumerate(rows)]
    before = [row.model_copy(deep=True) for row in rows]
    inputs = told(rows, "classify", clean()[:20])
    again = replace(inputs, embedder=embedder(None))
    assert {name: check(inputs) for name, check in CHECKS.items()} == {name: check(again) for name, check in reversed(CHECKS.items())}
    assert rows == before


@pytest.mark.parametrize("name", CHECKS)
def test_without_vectors_tokens_and_the_rest_it_still_works(name: str) -> None:
    inputs = AuditInput(clean(), TaskSpec(type="classify"), None, None, example_groups(clean()))
    promises(name, CHECKS[name](inputs), inputs)


TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.sampled_from(GARBAGE),
    st.sampled_from(["She paid", "He paid", "call +49 30 1234567", '{"a": 1}']),
)


@with_rows(pairs=st.lists(st.tuples(TEXTS, TEXTS), max_size=8), task=st.sampled_from(TASKS))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_rows_make_a_report(pairs: list[tuple[str, str]], task: str) -> None:
    rows = [example(n, prompt, target) for n, (prompt, target) in enumerate(pairs)]
    report = audit(told(rows, task, rows[:2]), "data")
    assert [claim.name for claim in report.claims] == ["relevant", "diverse", "accurate", "unbiased", "enough"]
    assert type(report).from_json(report.to_json()) == report


def test_turns_of_tools_and_several_answers() -> None:
    turns = [("user", "2+2?"), ("assistant", "4"), ("tool", "{}"), ("user", "sure?"), ("assistant", "yes")]
    row = Example(id="chat", messages=tuple(Message.model_validate({"role": role, "content": text}) for role, text in turns))
    inputs = told([row] * 1, "chat", None)
    for name, check in CHECKS.items():
        promises(name, check(inputs), inputs)
