"""Our own engine behind the gateway: the same templates, prompts and decoding as evaluation, many requests at once."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable
from typing import Any

from provetune.chat import encode_prompt, prompt_messages
from provetune.engine.live import Scored
from provetune.errors import ModelError, ProvetuneError, SpecError
from provetune.models.live import LiveModel, LiveRequest, Piece
from provetune.protocols import Completion
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message
from provetune.serving.backend import Job, Part, TokenScore, Usage, refuse_tools, settings_of
from provetune.serving.problems import Problem, invalid
from provetune.serving.requests import ChatAsked

LONG = 20_000
"""Letters from which a prompt is turned into tokens on another thread."""
HEALTH_S = 20.0


class EngineBackend:
    """One loaded model; `context_length` bounds prompt and completion together."""

    def __init__(self, model: LiveModel) -> None:
        self.model, self.tokenizer = model, model.tokenizer

    async def answer(self, job: Job) -> AsyncGenerator[Part | Usage, None]:
        """See `Backend`."""
        refuse_tools(job.asked)
        settings = settings_of(job, secrets.randbits(31))
        ids = await self._ids(job)
        self._check_room(len(ids), settings)
        if settings.scored:
            yield await self._scored(job)
            yield Usage(len(ids), 0)
            return
        top = _alternatives(job)
        every_piece = bool(job.asked.stream)
        pieces: asyncio.Queue[tuple[int, Piece]] = asyncio.Queue()
        try:
            await asyncio.to_thread(self.model.rules, settings)  # a schema is compiled, once
            requests = [LiveRequest(ids, settings, job.asked.stops, k, top or 0, every_piece) for k in range(job.count)]
            tickets = [self.model.submit(one, _emitter(pieces, k)) for k, one in enumerate(requests)]
        except SpecError as error:
            raise invalid(str(error), "response_format", "invalid_json_schema") from None
        except ModelError as error:
            raise Problem(503, str(error), retry_after_s=1) from None
        tokens, open_, logprobs = 0, job.count, [0.0]
        try:
            while open_:
                choice, piece = await pieces.get()
                if piece.end is not None:
                    open_ -= 1
                    tokens += piece.tokens
                logprobs += [one.logprob for one in piece.scored] if choice == 0 else []
                scores = tuple(self._score(one, top) for one in piece.scored) if top is not None else ()
                yield Part(choice, piece.text, scores, piece.end, piece.error)
        finally:
            for ticket in tickets:
                ticket.cancel()
        yield Usage(len(ids), tokens, sum(logprobs) / max(1, len(logprobs) - 1))

    async def healthy(self) -> bool:
        """Whether one token comes back in time."""
        pieces: asyncio.Queue[tuple[int, Piece]] = asyncio.Queue()
        ids = encode_prompt((Message(role="user", content="?"),), self.tokenizer)
        try:
            self.model.submit(LiveRequest(ids, GenerationSettings(max_new_tokens=1)), _emitter(pieces, 0))
            async with asyncio.timeout(HEALTH_S):
                _, piece = await pieces.get()
        except (TimeoutError, ModelError):
            return False
        return self.model.alive and piece.end in ("stop", "length")

    def close(self) -> None:
        """End the decoding thread."""
        self.model.close()

    def gauges(self) -> dict[str, float]:
        """Completions under way, and tokens of prompts that were kept from earlier ones."""
        return {"engine_completions_open": self.model.under_way, "engine_prefix_tokens": self.model.prefix_tokens}

    async def _ids(self, job: Job) -> list[int]:
        if job.text is not None:
            text = job.text
            make: Callable[[], list[int]] = lambda: self.tokenizer.encode(text)  # noqa: E731
        else:
            messages = prompt_messages(job.candidate.prompt, job.example)
            make = lambda: encode_prompt(messages, self.tokenizer)  # noqa: E731
        length = len(job.text or "") if job.text is not None else sum(len(message.content) for message in messages)
        try:
            ids = make() if length < LONG else await asyncio.to_thread(make)
        except ProvetuneError as error:
            raise invalid(str(error), "messages") from None
        if not ids:
            raise invalid("the prompt is empty", "prompt")
        return ids

    def _check_room(self, prompt: int, settings: GenerationSettings) -> None:
        room = self.tokenizer.context_length
        if prompt + settings.max_new_tokens > room:
            raise invalid(
                f"the prompt has {prompt:,} tokens and {settings.max_new_tokens:,} are to be written, but the context holds {room:,}; "
                "shorten the messages or lower max_tokens",
                "messages",
                "context_length_exceeded",
            )

    async def _scored(self, job: Job) -> Part:
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Completion] = loop.create_future()

        def emit(completion: Completion) -> None:
            loop.call_soon_threadsafe(lambda: None if found.done() else found.set_result(completion))

        self.model.score(job.candidate, job.example, emit)
        completion = await found
        end: Any = "stop" if completion.text is not None else "error"
        return Part(0, completion.text or "", end=end, error=completion.error)

    def _score(self, one: Scored, top: int | None) -> TokenScore:
        alternatives = tuple((self.tokenizer.decode([token]), value) for token, value in one.top[: top or 0])
        return TokenScore(self.tokenizer.decode([one.token]), one.logprob, alternatives)


def _alternatives(job: Job) -> int | None:
    return job.asked.alternatives if isinstance(job.asked, ChatAsked) else job.asked.logprobs


def _emitter(pieces: asyncio.Queue[tuple[int, Piece]], choice: int) -> Callable[[Piece], None]:
    loop = asyncio.get_running_loop()

    def emit(piece: Piece) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(pieces.put_nowait, (choice, piece))

    return emit
