"""How much a candidate loses when requests are written otherwise, what it does with others', and what its wording is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from provetune.chat import answer_of
from provetune.evaluation.compare import compare
from provetune.metrics import metric_named
from provetune.metrics.classification import parse_label
from provetune.metrics.grounding import abstains
from provetune.models.asking import ask
from provetune.protocols import Generator, Progress
from provetune.records.candidate import Candidate, GenerationSettings, Prompt
from provetune.records.data import Example, Message
from provetune.records.evaluation import Evaluation
from provetune.records.robustness import Drop, OutOfScope, Sensitivity
from provetune.scoring import Yardstick, estimate_of, measure
from provetune.stats.estimate import Estimate
from provetune.stats.proportion import wilson
from provetune.suites.robustness import REWORD, changed, is_rewording


@dataclass(frozen=True)
class Asked:
    """A candidate, who answers for it, what it is measured by and in which metric."""

    candidate: Candidate
    generator: Generator
    yardstick: Yardstick
    metric: str
    progress: Progress

    def measured(self, rows: Sequence[Example]) -> Evaluation:
        """The candidate on these rows."""
        return measure(self.candidate, self.generator, rows, self.yardstick, self.progress)[0]


def with_change(examples: Sequence[Example], change: str) -> list[tuple[Example, Example]]:
    """Each row beside itself with its last user turn changed; rows in which that changes nothing are left out."""
    pairs = [(example, _said(example, changed(_own(example), change, example.id))) for example in examples if _own(example)]
    return [(example, other) for example, other in pairs if _own(example) != _own(other)]


def reworded(examples: Sequence[Example], writer: Generator, progress: Progress) -> list[tuple[Example, Example]]:
    """Each row beside itself in other words, written by a model; what is cut or can be no rewording is left out."""
    rows = [example for example in examples if _own(example)]
    longest = max((len(_own(example)) for example in rows), default=0)
    settings = GenerationSettings(max_new_tokens=min(512, 16 + longest // 2))
    written = writer.generate([[Message(role="user", content=REWORD + _own(example))] for example in rows], settings, progress)
    found = []
    for example, completion in zip(rows, written, strict=True):
        text = (completion.text or "").strip()
        if completion.stopped and is_rewording(_own(example), text):
            found.append((example, _said(example, text)))
    return found


def _own(example: Example) -> str:
    return next((message.content for message in reversed(example.prompt_messages) if message.role == "user"), "")


def _said(example: Example, text: str) -> Example:
    """The example with another text in its last user turn."""
    last = max(place for place, message in enumerate(example.messages) if message.role == "user")
    turns = [m.model_copy(update={"content": text}) if place == last else m for place, m in enumerate(example.messages)]
    return example.model_copy(update={"messages": tuple(turns)})


def drop(asked: Asked, change: str, pairs: Sequence[tuple[Example, Example]], rows: int) -> Drop:
    """The metric with and without the change, of `rows` rows those that it concerns."""
    clean, after = (asked.measured(part) for part in ([one for one, _ in pairs], [other for _, other in pairs]))
    compared = compare(clean, after, asked.metric, 0.95)
    measured = compared.wins + compared.ties + compared.losses
    return Drop(
        candidate=asked.candidate.name,
        change=change,
        clean=estimate_of(clean, asked.metric, 0.95),
        after=estimate_of(after, asked.metric, 0.95),
        drop=compared.difference,
        rows=measured,
        unchanged=rows - len(pairs),
        not_measured=len(pairs) - measured,
    )


def out_of_scope(asked: Asked, requests: Sequence[str], system: str | None) -> OutOfScope:
    """Let the candidate write freely, not held to its labels: does it name one anyway, or decline?"""
    head = () if system is None else (Message(role="system", content=system),)
    rows = [
        Example(id=f"out{k}", messages=(*head, Message(role="user", content=text), Message(role="assistant", content="")))
        for k, text in enumerate(requests)
    ]
    settings = GenerationSettings(max_new_tokens=max(16, asked.candidate.generation.max_new_tokens))
    found = ask(asked.candidate.model_copy(update={"generation": settings}), asked.generator, rows, asked.progress).completions
    labels = asked.yardstick.labels
    texts = [answer_of(asked.candidate.prompt, one.text, one_line=bool(labels)) or "" for one in found if one.text is not None]
    declined = [abstains(text) or not text.strip() for text in texts]
    answered = sum(parse_label(text, labels) is not None for text in texts) if labels else len(texts) - sum(declined)
    return OutOfScope(
        candidate=asked.candidate.name,
        answered=wilson(answered, len(texts)),
        abstained=wilson(sum(declined), len(texts)),
        not_measured=len(found) - len(texts),
    )


def sensitivity(asked: Asked, prompts: Sequence[Prompt], rows: Sequence[Example]) -> Sensitivity:
    """The metric under each prompt, and best minus worst: picked as such, so an interval above 0 is no discovery."""
    measured = [
        replace(asked, candidate=asked.candidate.model_copy(update={"name": f"wording {k}", "prompt": prompt})).measured(rows)
        for k, prompt in enumerate(prompts)
    ]
    scores = [estimate_of(one, asked.metric, 0.95) for one in measured]
    sign = 1 if metric_named(asked.metric).higher_is_better else -1
    order = sorted((k for k in range(len(scores)) if scores[k].value is not None), key=lambda k: sign * (scores[k].value or 0.0))
    nothing = Estimate(None, None, None, 0, 0.95, "not measured")
    spread = compare(measured[order[-1]], measured[order[0]], asked.metric, 0.95).difference if len(order) > 1 else nothing
    return Sensitivity(candidate=asked.candidate.name, scores=tuple(scores), spread=spread)
