"""Completions that a model has written before are kept in the project, and it is not asked for them again.

They lie in one SQLite file, `.provetune/responses.sqlite`, under a hash of everything that decides them; the prompts
themselves are not kept. The file only saves time: delete it to begin anew, nothing else is lost.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from provetune import __version__
from provetune.hashing import canonical_json
from provetune.protocols import Completion, Generator, Likelihoods, Progress, likelihood_of
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message

T = TypeVar("T")
_Ask = Callable[[Sequence[int], Progress], list[Completion]]
CHUNK_PROMPTS = 512
"""Prompts that are asked, and then kept, at once: so many that reading their common prefix once more costs little."""
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_WAIT_S = 30.0


class ResponseCache:
    """Completions by key, in one SQLite file that several processes may use at a time.

    A damaged file is set aside as `<name>.damaged` with a warning and a new one begun. Where nothing can be written or read
    (a read-only disk, a full one) it keeps nothing and says so once: whoever asks works on as without it.
    """

    def __init__(self, file: Path, warn: Callable[[str], None] = warnings.warn) -> None:
        self.file = file
        self._warn = warn
        self._usable = True

    def read(self, keys: Iterable[str]) -> dict[str, Completion]:
        """The completions that are kept under some of these keys."""

        def look_up(connection: sqlite3.Connection) -> dict[str, Completion]:
            found = {}
            for key in keys:
                row = connection.execute("SELECT completion FROM responses WHERE key = ?", (key,)).fetchone()
                with suppress(TypeError, ValueError):  # no row, or one that is not ours: asked again
                    found[key] = replace(Completion(**json.loads(row[0])), kept=True)
            return found

        return self._with_file(look_up, {})

    def write(self, completions: Mapping[str, Completion]) -> None:
        """Keep completions, all or none of them; whatever had these keys is replaced."""
        rows = [(key, json.dumps(asdict(completion))) for key, completion in completions.items()]
        self._with_file(lambda connection: connection.executemany("INSERT OR REPLACE INTO responses VALUES (?, ?)", rows), None)

    def _with_file(self, use: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """What `use` returns, in one transaction of a connection of its own; `otherwise` where the file cannot be used."""
        for attempt in range(2 if self._usable else 0):
            try:
                self.file.parent.mkdir(parents=True, exist_ok=True)
                with closing(sqlite3.connect(self.file, timeout=_WAIT_S)) as connection, connection:
                    connection.text_factory = bytes  # damaged text is then no error of its own
                    with suppress(sqlite3.OperationalError):  # two processes begin the file at a time: one of them sets it
                        connection.execute("PRAGMA journal_mode = WAL")
                    connection.execute(
                        "CREATE TABLE IF NOT EXISTS responses (key TEXT PRIMARY KEY, completion TEXT NOT NULL) WITHOUT ROWID"
                    )
                    return use(connection)
            except sqlite3.DatabaseError as error:
                if attempt or error.sqlite_errorcode & 0xFF not in _DAMAGED or not self._set_aside(error):
                    return self._give_up(error, otherwise)
            except OSError as error:
                return self._give_up(error, otherwise)
        return otherwise

    def _set_aside(self, error: sqlite3.DatabaseError) -> bool:
        aside = self.file.with_name(f"{self.file.name}.damaged")
        try:
            for ending in ("-wal", "-shm", ""):  # SQLite's own files of an open database belong to it
                with suppress(FileNotFoundError):
                    Path(f"{self.file}{ending}").replace(f"{aside}{ending}")
        except OSError:
            return False
        self._warn(f"{self.file}: found a damaged file ({error}); it is set aside as {aside.name}, and what it held is asked again")
        return True

    def _give_up(self, error: Exception, otherwise: T) -> T:
        self._usable = False
        self._warn(f"{self.file}: cannot be used ({error}); completions are not kept, and the next run asks for them again")
        return otherwise


@dataclass(frozen=True)
class Identity:
    """Who answers: hashes of the model's weights, of the adapter's (empty without one), of template and tokenizer."""

    weights_sha256: str
    adapter_sha256: str
    template: str


class CachedGenerator:
    """A generator whose completions are kept, and that is asked only for what is not known yet.

    Where everything is known it is not asked at all, so that a `LazyGenerator` loads nothing. Equal prompts of one call are
    asked once. What could not be had (`text` None) is not kept. Completions are kept every `CHUNK_PROMPTS` prompts; which
    prompts are asked together depends on the prompts alone, so that a killed and repeated call asks for the rest as it would
    have been asked.

    Sampled completions are draws, each with a place in its call: equal prompts are then separate draws, and a call of which
    some draw is not known is asked whole.

    `asked + answered_from_cache` is the number of prompts so far; a repeated prompt of one call counts as answered.
    """

    def __init__(self, generator: Generator, cache: ResponseCache, identity: Identity) -> None:
        self._generator, self._cache, self._identity = generator, cache, identity
        self.asked = 0
        self.answered_from_cache = 0

    def afresh(self) -> CachedGenerator:
        """The same generator, whose answers are kept apart from those that it gave before: asking twice shows what chance changes."""
        apart = replace(self._identity, template=f"{self._identity.template} once more")
        return CachedGenerator(self._generator, self._cache, apart)

    def generate(self, prompts: Sequence[Sequence[Message]], settings: GenerationSettings, progress: Progress) -> list[Completion]:
        """One completion per prompt, in order; progress counts those that are known as done."""

        def ask(places: Sequence[int], progress: Progress) -> list[Completion]:
            return self._generator.generate([prompts[place] for place in places], settings, progress)

        drawn = settings.temperature > 0
        keys = self._keys(settings.model_dump(mode="json"), prompts, range(len(prompts)) if drawn else [0] * len(prompts))
        work = [list(range(len(prompts)))] if drawn else _chunks(prompts, keys)
        return self._answered(keys, work, ask, progress, whole=drawn)

    def loglikelihood(
        self, prompts: Sequence[Sequence[Message]], choices: Sequence[Sequence[str]], progress: Progress
    ) -> list[Likelihoods]:
        """Log-likelihoods are kept, asked for and counted as completions are. SpecError where the generator cannot say."""

        def ask(places: Sequence[int], progress: Progress) -> list[Completion]:
            asked = [prompts[place] for place in places], [choices[place] for place in places]
            found = likelihood_of(self._generator).loglikelihood(*asked, progress)
            return [_as_completion(one) for one in found]

        keys = self._keys("log-likelihood", prompts, [list(texts) for texts in choices])
        return [_as_likelihoods(found) for found in self._answered(keys, _chunks(prompts, keys), ask, progress)]

    def _answered(
        self, keys: Sequence[str], work: Sequence[Sequence[int]], ask: _Ask, progress: Progress, *, whole: bool = False
    ) -> list[Completion]:
        """What is kept under each key, asked for where it is not, a part of the `work` at a time; with `whole` all of a part or none."""
        known = self._cache.read(set(keys))
        missing = [[p for p in part if whole or keys[p] not in known] for part in work if any(keys[p] not in known for p in part)]
        total = len(keys)
        done = total - sum(map(len, missing))
        self.answered_from_cache += done
        progress("completions", done, total)
        for places in missing:
            written = ask(places, _part(progress, done, total))
            fresh = {keys[place]: completion for place, completion in zip(places, written, strict=True)}
            self._cache.write({key: completion for key, completion in fresh.items() if completion.text is not None})
            known |= fresh
            self.asked += len(places)
            done += len(places)
            progress("completions", done, total)
        return [known[key] for key in keys]

    def _keys(self, how: Any, prompts: Sequence[Sequence[Message]], own: Sequence[Any]) -> list[str]:
        """What decides each answer, hashed: who is asked, `how`, what, and what is its own; another version may answer otherwise."""
        shared = canonical_json([__version__, asdict(self._identity), how])
        keys = []
        for messages, more in zip(prompts, own, strict=True):
            asked = canonical_json([[m.model_dump(mode="json") for m in messages], more])
            keys.append(hashlib.sha256(f"{shared}\n{asked}".encode()).hexdigest())
        return keys


def _chunks(prompts: Sequence[Sequence[Message]], keys: Sequence[str]) -> list[list[int]]:
    """Places of the prompts to ask, each key once, by chunk: prompts of similar length together, as generation is fastest."""
    first = {key: place for place, key in reversed(list(enumerate(keys)))}
    order = sorted(first.values(), key=lambda place: (sum(len(m.content) for m in prompts[place]), place))
    return [order[start : start + CHUNK_PROMPTS] for start in range(0, len(order), CHUNK_PROMPTS)]


def _as_completion(found: Likelihoods) -> Completion:
    """Likelihoods in the form that is kept."""
    return Completion(None if found.nats is None else json.dumps([found.nats, found.tokens]), found.prompt_tokens, 0, True, found.error)


def _as_likelihoods(kept: Completion) -> Likelihoods:
    nats, tokens = (None, ()) if kept.text is None else map(tuple, json.loads(kept.text))
    return Likelihoods(nats, tokens or (), kept.prompt_tokens, kept.error, kept.kept)


def _part(progress: Progress, before: int, total: int) -> Progress:
    """Progress of a part of the work, seen from the whole."""
    return lambda what, done, _: progress(what, before + done, total)
