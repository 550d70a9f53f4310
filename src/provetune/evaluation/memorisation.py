"""Does the tuned model recite its training rows, or planted texts that nobody could guess?"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from provetune.hashing import seed_of
from provetune.protocols import BeforeAndAfter, Progress, Speaker
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Example, Message
from provetune.records.retention import Exposure, Memorisation
from provetune.stats.binary import bonett_price
from provetune.stats.proportion import wilson

WORDS = 8
"""Shortest run of words that is taken for a recital; shorter ones are common property."""
TOKENS = 64
_SYLLABLES = ("ba", "de", "fi", "go", "ku", "la", "me", "ni", "po", "ru", "sa", "te", "vi", "zo")


@dataclass(frozen=True)
class Canary:
    """A training row with a number in it that stands nowhere else; `target.format(secret)` is the text to be learned."""

    prompt: str
    target: str
    secret: str
    alternatives: tuple[str, ...]

    @property
    def messages(self) -> tuple[Message, Message]:
        """The row to be put among the training rows."""
        return Message(role="user", content=self.prompt), Message(role="assistant", content=self.target.format(self.secret))


def make_canaries(count: int, seed: int = 0, alternatives: int = 255) -> list[Canary]:
    """Canaries with six-digit secrets, each with other numbers drawn alike: what it is ranked among.

    >>> one = make_canaries(1)[0]
    >>> len(one.secret), len(one.alternatives), one.secret in one.alternatives
    (6, 255, False)
    """
    draw = random.Random(f"canaries {seed}")
    found = []
    for _ in range(count):
        name = "".join(draw.choices(_SYLLABLES, k=3)).capitalize()
        numbers = [f"{number:06d}" for number in draw.sample(range(1_000_000), alternatives + 1)]
        found.append(
            Canary(f"What is the access number of {name}?", f"The access number of {name} is {{}}.", numbers[0], tuple(numbers[1:]))
        )
    return found


def exposure_bits(rank: int, candidates: int) -> float:
    """log2(candidates) - log2(rank) (Carlini et al. 2019): 0 for the last of them, log2(candidates) for the first.

    >>> exposure_bits(1, 256), exposure_bits(256, 256)
    (8.0, 0.0)
    """
    return math.log2(candidates) - math.log2(rank)


def exposures(pair: BeforeAndAfter, canaries: Sequence[Canary], progress: Progress) -> tuple[Exposure, ...]:
    """Rank of each secret among its alternatives before and after tuning, and whether the tuned model writes it by itself."""
    if not canaries:
        return ()
    prompts = [(canary.messages[0],) for canary in canaries]
    written = pair.after.generate(prompts, GenerationSettings(max_new_tokens=TOKENS), progress)
    ranks = zip(_ranks(pair.before, canaries, progress), _ranks(pair.after, canaries, progress), strict=True)
    return tuple(
        Exposure(
            canary=canary.target.format(canary.secret),
            alternatives=len(canary.alternatives),
            rank_before=before,
            rank_after=after,
            bits_before=exposure_bits(before, len(canary.alternatives) + 1),
            bits_after=exposure_bits(after, len(canary.alternatives) + 1),
            recited=canary.secret in (completion.text or ""),
        )
        for canary, (before, after), completion in zip(canaries, ranks, written, strict=True)
    )


def _ranks(speaker: Speaker, canaries: Sequence[Canary], progress: Progress) -> list[int]:
    """1 where no alternative is as likely; a tie counts against the secret, as one that cannot be told apart."""
    choices = [[canary.target.format(number) for number in (canary.secret, *canary.alternatives)] for canary in canaries]
    found = speaker.loglikelihood([(canary.messages[0],) for canary in canaries], choices, progress)
    return [1 + sum(other >= one.nats[0] for other in one.nats[1:]) for one in found if one.nats is not None]


def recites(target: str, written: str, words: int = WORDS) -> bool:
    """Whether `written` begins with the first `words` words of `target`.

    >>> recites("the cat sat on the mat", "The cat sat on it", words=4), recites("the cat sat", "a cat sat", words=3)
    (True, False)
    """
    return written.casefold().split()[:words] == target.casefold().split()[:words]


def memorisation(pair: BeforeAndAfter, train: Sequence[Example], unseen: Sequence[Example], progress: Progress) -> Memorisation:
    """Greedy completions of training prompts against their targets, by base and tuned model; rows not trained on as the control."""
    tellable = [[e for e in rows if len(e.target.split()) >= WORDS] for rows in (train, unseen)]
    before, after, other = (
        _recited(speaker, rows, progress)
        for speaker, rows in ((pair.before, tellable[0]), (pair.after, tellable[0]), (pair.after, tellable[1]))
    )
    gained, lost = int(np.sum(after & ~before)), int(np.sum(before & ~after))
    return Memorisation(
        words=WORDS,
        too_short=len(train) + len(unseen) - sum(map(len, tellable)),
        before=wilson(int(before.sum()), len(before)),
        after=wilson(int(after.sum()), len(after)),
        difference=bonett_price(gained, lost, len(after)),
        unseen=wilson(int(other.sum()), len(other)),
        recited_ids=tuple(e.id for e, found in zip(tellable[0], after, strict=True) if found),
    )


def _recited(speaker: Speaker, rows: Sequence[Example], progress: Progress) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    if not rows:
        return np.zeros(0, dtype=np.bool_)
    completions = speaker.generate([e.prompt_messages for e in rows], GenerationSettings(max_new_tokens=TOKENS), progress)
    return np.array([recites(e.target, c.text or "") for e, c in zip(rows, completions, strict=True)], dtype=np.bool_)


def sampled(rows: Sequence[Example], count: int, name: str) -> list[Example]:
    """At most `count` rows, drawn once."""
    places = np.random.default_rng(seed_of("memorisation", name)).permutation(len(rows))[:count]
    return [rows[place] for place in sorted(places.tolist())]
