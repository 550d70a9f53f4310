"""The model's own tokenizer and chat template, without torch."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2.exceptions import TemplateError

from provetune.chat import left_out, template_fingerprint, tools_of
from provetune.errors import DataError, ModelError, SpecError
from provetune.hashing import folder_sha256
from provetune.models.card import read_card, safetensors_parameters
from provetune.models.plain import as_turn
from provetune.records.candidate import ModelRef
from provetune.records.data import Message

_PROBE = "provetune probe"
_BREAK = "\ufdd0"
"""Stands in rendered text where a message spells a special token, and breaks it; Unicode keeps this code out of all texts."""


class FolderTokenizer:
    """`protocols.Tokenizer` over a model folder; stop tokens are read off the rendered template.

    Only the template brings special tokens: where a message spells one (`<|im_end|>`), `render` breaks the spelling by a mark that
    `encode` takes out again, so that it becomes tokens of plain text. Each of `new_tokens` becomes one token wherever it stands.
    """

    def __init__(self, folder: Path, new_tokens: Sequence[str] = ()) -> None:
        from transformers import AutoTokenizer  # loads torch where it is installed, seconds that a verb without a model need not wait

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"{folder}: no tokenizer could be loaded ({error}); wanted tokenizer.json beside config.json") from error
        if not self._tokenizer.chat_template:
            raise ModelError(f"{folder}: the tokenizer has no chat template; use an instruction-tuned model, or add chat_template.jinja")
        config = json.loads((folder / "config.json").read_text())
        config = config.get("text_config", config)
        self._folder = folder
        self.context_length = int(config.get("max_position_embeddings") or self._tokenizer.model_max_length)
        known = [token for token in new_tokens if len(self._tokenizer.encode(token, add_special_tokens=False)) < 2]
        if known:
            raise SpecError(f"train.new_tokens: {known[0]!r} is one token already; take it out")
        self._tokenizer.add_tokens(list(new_tokens))
        vocabulary: dict[str, int] = self._tokenizer.get_vocab() if new_tokens else {}
        self.new_tokens = {vocabulary[token]: token for token in new_tokens}
        added = self._tokenizer.added_tokens_decoder
        special = {token.content for token in added.values() if token.special} | set(self._tokenizer.all_special_tokens)
        self._spelled = _any_of(special)
        self.stop_ids = self._find_stop_ids()
        self.bos_id: int | None = self._tokenizer.bos_token_id
        self.pad_id: int | None = self._tokenizer.pad_token_id
        self._spelled = _any_of(special | {added[token].content for token in self.stop_ids if token in added})

    @property
    def base(self) -> FolderTokenizer:
        """What the base was trained with: prompts are read so, whatever tokens tuning adds."""
        return FolderTokenizer(self._folder) if self.new_tokens else self

    def render(self, messages: Sequence[Message], open_turn: bool) -> str:
        """The template's text; raises ModelError where the template refuses the roles or drops a part of a message."""
        turns = [as_turn(_broken(message, self._spelled)) for message in messages]
        tools = [json.loads(tool) for tool in tools_of(messages)] or None
        try:
            text: str = self._tokenizer.apply_chat_template(turns, tools=tools, tokenize=False, add_generation_prompt=open_turn)
        except TemplateError as error:
            roles = ", ".join(m.role for m in messages)
            raise ModelError(f"the chat template refuses the turns ({roles}): {error}") from error
        lost = left_out(messages, text.replace(_BREAK, ""))
        if lost is not None:
            raise ModelError(
                f"the chat template drops {lost}, so it would be neither learned nor served; "
                "choose a base model whose template renders it, or remove it from the rows"
            )
        return text

    def spells_special(self, messages: Sequence[Message]) -> bool:
        """Whether a message spells a special token, of which only the template's own are any."""
        return any(self._spelled.search(message.content) for message in messages)

    def encode(self, text: str) -> list[int]:
        """Ids of rendered text; nothing is added (the template brings its own begin token)."""
        first, *others = text.split(_BREAK)
        ids: list[int] = self._tokenizer.encode(first, add_special_tokens=False)
        for part in others:
            ids += self._continued(part)
        return ids

    def _continued(self, text: str) -> list[int]:
        """Ids of text within a text: tokenizers of SentencePiece's make put a blank before a beginning."""
        before, ids = (self._tokenizer.encode(part, add_special_tokens=False) for part in ("\n", "\n" + text))
        found: list[int] = ids[len(before) :] if ids[: len(before)] == before else self._tokenizer.encode(text, add_special_tokens=False)
        return found

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, as `encode` gives them; several times as fast, as the texts are shared out among the cores."""
        if not texts:
            return []
        found = self._tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False, return_token_type_ids=False)
        ids: list[list[int]] = found["input_ids"]
        return [self.encode(text) if _BREAK in text else own for text, own in zip(texts, ids, strict=True)]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special tokens left out."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def shown(self, ids: Sequence[int]) -> str:
        """Text of ids with the special tokens in it, for people to look at."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=False)
        return text

    def save(self, folder: Path) -> None:
        """Write the tokenizer and its template into a folder."""
        self._tokenizer.save_pretrained(folder)

    def to_json(self) -> str:
        """The tokenizer in the format of `tokenizer.json`; raises ModelError where it is of another make."""
        if not self._tokenizer.is_fast:
            raise ModelError("the base model brings no tokenizer.json; completions cannot be held to a JSON schema")
        text: str = self._tokenizer.backend_tokenizer.to_str()
        return text

    def _find_stop_ids(self) -> frozenset[int]:
        user = Message(role="user", content="Hello")
        before = self.render([user], open_turn=True)
        after = self.render([user, Message(role="assistant", content=_PROBE)], open_turn=False)
        ending = after[len(before) :].partition(_PROBE)[2].lstrip()
        found = self.encode(ending)[:1]
        # an added token that no setting names ends the turn of some families (Gemma: <end_of_turn>)
        special = set(self._tokenizer.all_special_ids) | set(self._tokenizer.added_tokens_decoder)
        stops = {token for token in found if token in special}
        if self._tokenizer.eos_token_id is not None:
            stops.add(int(self._tokenizer.eos_token_id))
        if not stops:
            raise ModelError("the template ends an assistant turn without a special token and there is no eos token; nothing could stop")
        return frozenset(stops)


def _any_of(texts: set[str]) -> re.Pattern[str]:
    """What finds the first letter of any of these texts; of one letter there is nothing to break."""
    return re.compile("|".join(f"{re.escape(text[0])}(?={re.escape(text[1:])})" for text in sorted(texts) if len(text) > 1) or "(?!)")


def _broken(message: Message, spelled: re.Pattern[str]) -> Message:
    """The message, its texts broken where they are `spelled`; DataError where the mark itself stands in it."""
    if _BREAK in message.content or any(_BREAK in call.arguments for call in message.tool_calls):
        raise DataError("found U+FDD0 in a message, a code that Unicode keeps out of all texts; remove it")
    if not (spelled.search(message.content) or message.tool_calls):
        return message
    mark = rf"\g<0>{_BREAK}"
    calls = tuple(call.model_copy(update={"arguments": spelled.sub(mark, call.arguments)}) for call in message.tool_calls)
    return message.model_copy(update={"content": spelled.sub(mark, message.content), "tool_calls": calls})


def model_ref(folder: Path, name: str, revision: str, tokenizer: FolderTokenizer) -> ModelRef:
    """Who the base model is: parameters (from the safetensors headers), context, hashes."""
    return ModelRef(
        name=name,
        revision=revision,
        parameters=safetensors_parameters(folder),
        context_length=tokenizer.context_length,
        weights_sha256=folder_sha256(folder, [".safetensors"]),
        template=template_fingerprint(tokenizer),
        licence=read_card(folder).licence,
    )
