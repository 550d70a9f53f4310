"""Targets that another model writes: only right ones are taken, and every row is counted."""

from __future__ import annotations

from provetune.models.scripted import ScriptedGenerator
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Example, Message
from provetune.scoring import Yardstick
from provetune.tuning.distillation import Rules, distilled

TARGETS = {"a": "The parcel is late by two days", "b": "Your refund is on its way", "c": "Please reset it", "d": "It opens at nine"}
ROWS = [
    Example(id=key, source=f"x:{key}", messages=(Message(role="user", content=key), Message(role="assistant", content=text)))
    for key, text in TARGETS.items()
]
RULES = Rules(GenerationSettings(), Yardstick("generate", (), "validation"), "rouge_l", own_words=False)


def quiet(what: str, done: int, total: int) -> None:
    pass


def test_right_targets_are_replaced_and_all_rows_stay() -> None:
    writer = ScriptedGenerator({"a": "The parcel is late, by about two days", "b": "no idea", "d": "It opens at nine"})
    found, counts = distilled(ROWS, writer, RULES, quiet)
    assert [e.target for e in found] == ["The parcel is late, by about two days", *list(TARGETS.values())[1:]]
    assert [e.id for e in found] == list(TARGETS) and found[0].messages[:-1] == ROWS[0].messages[:-1]
    assert counts == {"rewritten": 1, "given target kept: nothing was written": 1, "given target kept: not right by the metric": 1}


def test_the_base_is_shown_the_target_for_its_own_words() -> None:
    asked: list[str] = []

    class Listening(ScriptedGenerator):
        def generate(self, prompts, settings, progress):  # type: ignore[no-untyped-def]
            asked.extend(messages[-1].content for messages in prompts)
            return super().generate(prompts, settings, progress)

    distilled(ROWS, Listening({}), Rules(RULES.settings, RULES.yardstick, "rouge_l", own_words=True), quiet)
    assert all(row.target in text and text.startswith(row.messages[0].content) for row, text in zip(ROWS, asked, strict=True))
    asked.clear()
    distilled(ROWS, Listening({}), RULES, quiet)
    assert asked == list(TARGETS)
