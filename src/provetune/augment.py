"""Step augment: further training rows made from the training rows, after the split, each held against its guards.

Three ways: light edits (typos, case: robustness noise that rarely helps a pretrained model, Longpre et al. 2020, arXiv 2010.01764),
counterfactual swaps of gendered words (the label stays by construction), and paraphrases by a model (worth it with few rows per label,
Cegin et al. 2024, arXiv 2408.16502). Every new row names its source in `meta`, so that no split can part the two.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from provetune.hashing import fingerprint, seed_of
from provetune.models.linear import LinearClassifier
from provetune.protocols import Generator, Progress
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Example, Message
from provetune.similarity import NEAR_DUPLICATE, find_leaks
from provetune.spec.parts import AugmentKind

FEW_ROWS = 20
"""Only labels with fewer training rows are paraphrased; above that paraphrases have not paid."""
INSTRUCTION = (
    "Rewrite the message below in other words. Keep its meaning, its language, and every name and number. "
    "Answer with the new message only.\n\n"
)
SWAPS = (
    *(("he", "she"), ("himself", "herself"), ("man", "woman"), ("men", "women"), ("boy", "girl"), ("boys", "girls")),
    *(("male", "female"), ("males", "females"), ("gentleman", "lady"), ("gentlemen", "ladies"), ("father", "mother")),
    *(("fathers", "mothers"), ("dad", "mom"), ("son", "daughter"), ("sons", "daughters"), ("brother", "sister")),
    *(("brothers", "sisters"), ("husband", "wife"), ("husbands", "wives"), ("boyfriend", "girlfriend"), ("uncle", "aunt")),
    *(("uncles", "aunts"), ("grandfather", "grandmother"), ("nephew", "niece"), ("nephews", "nieces"), ("king", "queen")),
    *(("mr", "mrs"), ("waiter", "waitress"), ("actor", "actress"), ("actors", "actresses"), ("businessman", "businesswoman")),
    *(("salesman", "saleswoman"), ("spokesman", "spokeswoman"), ("policeman", "policewoman"), ("widower", "widow")),
)
"""English pairs; `him`, `his` and `her` are added by their place in the sentence."""
_OTHER = {**dict(SWAPS), **{b: a for a, b in SWAPS}, "him": "her", "his": "her"}
_WORD = re.compile(r"[^\W\d_]+")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class AugmentRequest:
    """`held_out` are all rows that do not train: what comes near them is dropped.

    New rows are made from those of `train` that are no copies themselves; with copies that are there already they are at most
    `share` of the result. `copies` edits of a row are tried. `generator` writes the paraphrases.
    """

    train: Sequence[Example]
    held_out: Sequence[Example]
    kinds: Sequence[AugmentKind]
    share: float = 0.5
    copies: int = 1
    seed: int = 7
    generator: Generator | None = None
    generator_name: str = ""
    progress: Progress = lambda what, done, total: None

    @property
    def originals(self) -> list[Example]:
        """Training rows that are not made from others and have a user's turn."""
        return [e for e in self.train if not e.synthetic and any(message.role == "user" for message in e.messages)]


@dataclass(frozen=True)
class Augmented:
    """The training rows as they were, then the new ones; how many were made, and why the others were dropped."""

    rows: list[Example]
    made: int
    dropped: dict[str, int]

    @property
    def kept(self) -> int:
        """Number of new rows."""
        return self.made - sum(self.dropped.values())


def augment(request: AugmentRequest) -> Augmented:
    """Make new rows and keep those that pass every guard; the same request gives the same rows.

    Dropped are: rows that lost a number or a value of the target; rows equal to a training row; rows nearly equal
    (0.8) to a held-out row; rows to which a linear classifier fitted on the originals gives another label than their source's; rows
    above the share. Raises ValueError on paraphrases without a generator and on a share outside (0, 0.5].
    """
    if "paraphrase" in request.kinds and request.generator is None:
        raise ValueError("paraphrases need a generator")
    if not 0 < request.share <= 0.5:
        raise ValueError(f"share is {request.share}, wanted more than 0 and at most 0.5")
    made = [example for kind in request.kinds for example in _MAKERS[kind](request)]
    dropped: Counter[str] = Counter()
    kept = made
    for reason, guard in _GUARDS.items():
        passed = guard(request, kept)
        if len(passed) < len(kept):
            dropped[reason] = len(kept) - len(passed)
        kept = passed
    return Augmented([*request.train, *kept], len(made), dict(dropped))


def edited(text: str, draw: random.Random) -> str:
    """One or two light edits: neighbouring letters swapped, a letter lost or doubled, the case of the text changed.

    >>> edited("where is my parcel", random.Random(3)) != "where is my parcel"
    True
    """
    for _ in range(draw.choice((1, 2))):
        places = [place for place in range(1, len(text) - 1) if text[place].isalpha() and text[place + 1].isalpha()]
        change = draw.choice(("swap", "lose", "double", "case")) if places else "case"
        place = draw.choice(places) if places else 0
        if change == "swap":
            text = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
        elif change == "lose":
            text = text[:place] + text[place + 1 :]
        elif change == "double":
            text = text[:place] + text[place] + text[place:]
        else:
            text = text.lower() if text != text.lower() else text.upper()
    return text


def swapped(text: str) -> str:
    """Each gendered English word replaced by its counterpart, in the same case.

    >>> swapped("Mr Hill and his wife called; tell her that he paid.")
    'Mrs Hill and her husband called; tell him that she paid.'
    """

    def other(found: re.Match[str]) -> str:
        word = found[0].lower()
        if word == "her":  # "her card" is "his card", "tell her" is "tell him"
            new = "his" if re.match(r"\s+(?!(?:that|to|and|or|if|when|about|for|the|a)\b)[^\W\d_]", text[found.end() :]) else "him"
        else:
            new = _OTHER.get(word, "")
        if not new:
            return found[0]
        return new.upper() if found[0].isupper() and len(word) > 1 else new.capitalize() if found[0][0].isupper() else new

    return _WORD.sub(other, text)


def _edits(request: AugmentRequest) -> Iterator[Example]:
    for example in request.originals:
        for copy in range(request.copies):
            draw = random.Random(seed_of("edit", request.seed, example.id, copy))
            yield _derived(example, f"edit{copy + 1}", edited(_own_text(example), draw), {"synthetic": "edit"})


def _swaps(request: AugmentRequest) -> Iterator[Example]:
    labelled = any(example.label is not None for example in request.train)
    for example in request.originals:
        text = swapped(_own_text(example))
        if text != _own_text(example):
            target = None if labelled else swapped(example.target)
            yield _derived(example, "swap", text, {"synthetic": "swap"}, target)


def _paraphrases(request: AugmentRequest) -> Iterator[Example]:
    assert request.generator is not None
    held = Counter(example.label for example in request.train)
    few = [example for example in request.originals if example.label is None or held[example.label] < FEW_ROWS]
    prompts = [[Message(role="user", content=INSTRUCTION + _own_text(example))] for example in few]
    longest = max((len(_own_text(example)) for example in few), default=0)
    settings = GenerationSettings(max_new_tokens=min(512, 16 + longest // 2))
    marks = {"synthetic": "paraphrase", "generator": request.generator_name, "prompt_hash": fingerprint(INSTRUCTION)}
    for example, found in zip(few, request.generator.generate(prompts, settings, request.progress), strict=True):
        if found.text is not None and found.stopped and found.text.strip():
            yield _derived(example, "paraphrase", found.text.strip(), marks)


_MAKERS: dict[AugmentKind, Callable[[AugmentRequest], Iterator[Example]]] = {"edit": _edits, "swap": _swaps, "paraphrase": _paraphrases}


def _derived(source: Example, name: str, text: str, marks: dict[str, str], target: str | None = None) -> Example:
    """The source with another text in its last user turn; marked, and tied to the source's group."""
    last = max(place for place, message in enumerate(source.messages) if message.role == "user")
    turns = [m.model_copy(update={"content": text}) if place == last else m for place, m in enumerate(source.messages)]
    if target is not None:
        turns[-1] = turns[-1].model_copy(update={"content": target})
    meta = {**source.meta, **marks, "source_id": source.source_id}
    return source.model_copy(update={"id": f"{source.id}+{name}", "messages": tuple(turns), "meta": meta})


def _own_text(example: Example) -> str:
    return next(message.content for message in reversed(example.messages) if message.role == "user")


def _consistent(request: AugmentRequest, made: Sequence[Example]) -> list[Example]:
    sources = {example.id: example for example in request.train}
    return [example for example in made if _keeps_values(sources[_parent(example)], example)]


def _parent(example: Example) -> str:
    return example.id.rpartition("+")[0]


def _keeps_values(source: Example, example: Example) -> bool:
    """Numbers of the prompt stand in the copy too, and so does every value of a JSON target that stood in the prompt."""
    before, after = source.prompt_text, example.prompt_text
    if sorted(_NUMBER.findall(before)) != sorted(_NUMBER.findall(after)):
        return False
    return sum(value in before for value in _values(source.target)) == sum(value in after for value in _values(example.target))


def _values(target: str) -> list[str]:
    """The texts and numbers inside a JSON object; nothing for any other target."""

    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, dict | list):
            for inner in value.values() if isinstance(value, dict) else value:
                yield from walk(inner)
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            yield str(value)

    try:
        content = json.loads(target)
    except (ValueError, RecursionError):
        return []
    return list(walk(content)) if isinstance(content, dict) else []


def _new(request: AugmentRequest, made: Sequence[Example]) -> list[Example]:
    """Rows whose words no training row and no earlier new row has."""
    seen = {" ".join(example.prompt_text.split()) for example in request.train}
    found = []
    for example in made:
        text = " ".join(example.prompt_text.split())
        if text not in seen:
            seen.add(text)
            found.append(example)
    return found


def _apart(request: AugmentRequest, made: Sequence[Example]) -> list[Example]:
    near = find_leaks(made, request.held_out, NEAR_DUPLICATE) if made and request.held_out else {}
    return [example for example in made if example.id not in near]


def _agreed(request: AugmentRequest, made: Sequence[Example]) -> list[Example]:
    """Rows that a linear classifier fitted on the originals gives their source's label; all of them where there are no labels."""
    if not made or len({example.label for example in request.originals}) < 2:
        return list(made)
    answers = LinearClassifier(request.originals).generate([e.prompt_messages for e in made], GenerationSettings(), request.progress)
    return [example for example, answer in zip(made, answers, strict=True) if answer.text == example.label]


def _within_share(request: AugmentRequest, made: Sequence[Example]) -> list[Example]:
    originals = len(request.originals)
    room = max(0, int(originals * request.share / (1 - request.share)) - (len(request.train) - originals))
    chosen = sorted(range(len(made)), key=lambda place: seed_of("kept", request.seed, made[place].id))[:room]
    return [made[place] for place in sorted(chosen)]


_GUARDS: dict[str, Callable[[AugmentRequest, Sequence[Example]], list[Example]]] = {
    "a number or a value of the target got lost": _consistent,
    "equal to a row that is there already": _new,
    "nearly equal to a held-out row": _apart,
    "a classifier fitted on the originals gives another label": _agreed,
    "more than the allowed share": _within_share,
}
