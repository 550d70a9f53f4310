"""Models behind any OpenAI-compatible endpoint, hosted or local, behind `protocols.Generator`.

Every answer is kept in the response cache as soon as it is there, and every request is written down before it is sent: a run
that is killed asks again only for what was under way, and its spending still counts.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from provetune.errors import EndpointError
from provetune.hashing import canonical_json, fingerprint, seed_of
from provetune.models.endpoint_asking import Ask, Asking, Endpoint
from provetune.models.endpoint_journal import Journal, Request
from provetune.models.responses import ResponseCache
from provetune.protocols import Completion, Progress
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message


class EndpointGenerator:
    """Completions of a model behind an endpoint; what is kept is not asked for again, and a prompt that fails is not measured.

    Choices and JSON Schemas go along as `response_format`; where the endpoint does not take that, completions are written freely
    (`lacks` says so). Numbers of tokens are those that the endpoint counts, 0 in a `Completion` where it does not say: `requests`
    tells unknown from none. Raises EndpointError where no request can succeed; the same call continues then.
    """

    def __init__(self, endpoint: Endpoint, cache: ResponseCache, folder: Path) -> None:
        self.endpoint, self._cache = endpoint, cache
        self.journal = Journal(folder / f"{fingerprint([endpoint.spec.url, endpoint.model])}.jsonl")

    @property
    def lacks(self) -> frozenset[str]:
        """Parameters that the endpoint does not take, as far as it was asked."""
        return self.journal.lacks

    @property
    def identity_sha256(self) -> str:
        """Who answers, as far as it can be told from outside: the address and the model's name."""
        return hashlib.sha256(canonical_json([self.endpoint.spec.url, self.endpoint.model]).encode()).hexdigest()

    def generate(self, prompts: Sequence[Sequence[Message]], settings: GenerationSettings, progress: Progress) -> list[Completion]:
        """One completion per prompt, in order; equal prompts are asked once, save where completions are drawn."""
        if settings.scored:
            raise EndpointError(f"{self.endpoint.spec.url}: an endpoint gives no likelihoods of labels; use constrained decoding")
        asks = self._asks(prompts, settings)
        known = self._cache.read({ask.key for ask in asks})
        missing = {ask.key: ask for ask in asks if ask.key not in known}
        times, total = Counter(ask.key for ask in asks), len(asks)
        done = total - sum(times[key] for key in missing)
        progress("completions", done, total)

        def add(key: str, completion: Completion) -> None:
            nonlocal done
            known[key] = completion
            done += times[key]
            progress("completions", done, total)

        if missing:
            _run(Asking(self.endpoint, self.journal, self._cache, add).all(list(missing.values())))
        return [known[ask.key] for ask in asks]

    def requests(self, prompts: Sequence[Sequence[Message]], settings: GenerationSettings) -> list[Request]:
        """All requests that were ever sent for these prompts, in any run of the project."""
        keys = {ask.key for ask in self._asks(prompts, settings)}
        return [request for request in self.journal.requests() if request.key in keys]

    def _asks(self, prompts: Sequence[Sequence[Message]], settings: GenerationSettings) -> list[Ask]:
        found = []
        shared = canonical_json([self.identity_sha256, settings.model_dump(mode="json")])
        for place, messages in enumerate(prompts):
            drawn = settings.temperature > 0
            own = canonical_json([[m.model_dump(mode="json") for m in messages], place if drawn else 0])
            key = hashlib.sha256(f"{shared}\n{own}".encode()).hexdigest()
            seeded = settings.model_copy(update={"seed": seed_of(settings.seed, place)}) if drawn else settings
            found.append(Ask(key, messages, seeded))
        return found


def _run(work: Coroutine[None, None, None]) -> None:
    """Run it to its end, in a thread of its own where this one already has an event loop (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(work)
        return
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()
