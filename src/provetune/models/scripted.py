"""A generator that answers from a table: for tests and for trying a flow without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from provetune.protocols import Completion, Progress
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message


class ScriptedGenerator:
    """Answers by the last user turn; a missing entry is a completion that could not be had."""

    def __init__(self, answers: Mapping[str, str]) -> None:
        self.answers = dict(answers)

    def generate(self, prompts: Sequence[Sequence[Message]], settings: GenerationSettings, progress: Progress) -> list[Completion]:
        """The table's entry for each conversation's last turn."""
        found = []
        for done, messages in enumerate(prompts, start=1):
            text = self.answers.get(messages[-1].content)
            found.append(Completion(text, 0, 0, text is not None, None if text is not None else "not in the script"))
            progress("completions", done, len(prompts))
        return found
