"""A model's tokenizer and chat template without transformers: for counting tokens at once, before anything heavy is loaded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from provetune.chat import tools_of
from provetune.errors import ModelError
from provetune.records.data import Message


class PlainTokenizer:
    """Counts the tokens of rendered conversations as `FolderTokenizer` does; ModelError where the folder lacks what that needs."""

    def __init__(self, folder: Path) -> None:
        from jinja2.exceptions import TemplateError
        from jinja2.ext import Extension, loopcontrols
        from jinja2.sandbox import ImmutableSandboxedEnvironment
        from tokenizers import Tokenizer

        class Generation(Extension):
            """The block that marks what the model writes; only its content matters here."""

            tags = frozenset({"generation"})  # type: ignore[assignment]  # jinja2 says set and only looks names up

            def parse(self, parser: Any) -> Any:
                next(parser.stream)
                return parser.parse_statements(("name:endgeneration",), drop_needle=True)

        if not (folder / "tokenizer.json").is_file():
            raise ModelError(f"{folder}: no tokenizer.json")
        config = _json(folder / "tokenizer_config.json")
        template = _template(folder, config)
        if template is None:
            raise ModelError(f"{folder}: the tokenizer has no chat template; use an instruction-tuned model, or add chat_template.jinja")
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, Generation])
        environment.filters["tojson"] = _to_json

        def refuse(message: str) -> None:
            raise TemplateError(message)

        environment.globals["raise_exception"] = refuse
        environment.globals["strftime_now"] = lambda form: form
        names = {**_json(folder / "special_tokens_map.json"), **config}
        self._special = {name: _text(names[name]) for name in ("bos_token", "eos_token", "pad_token", "unk_token") if names.get(name)}
        try:
            self._template = environment.from_string(template)
        except TemplateError as error:
            raise ModelError(f"{folder}: the chat template cannot be read ({error})") from error
        self._refused = TemplateError

    def counts(self, conversations: Sequence[Sequence[Message]]) -> list[int]:
        """Tokens of each whole conversation; ModelError where the template refuses one."""
        texts = []
        for messages in conversations:
            turns = [as_turn(one) for one in messages]
            tools = [json.loads(tool) for tool in tools_of(messages)] or None
            try:
                texts.append(self._template.render(messages=turns, add_generation_prompt=False, tools=tools, **self._special))
            except self._refused as error:
                raise ModelError(f"the chat template refuses the turns ({', '.join(m.role for m in messages)}): {error}") from error
        return [len(found.ids) for found in self._tokenizer.encode_batch(texts, add_special_tokens=False)]


def as_turn(message: Message) -> dict[str, Any]:
    """A message as templates expect it: the arguments of a tool call are an object there."""
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    given = {"name": message.name, "tool_call_id": message.tool_call_id}
    turn |= {key: value for key, value in given.items() if value is not None}
    if message.tool_calls:
        calls = [(call.id, {"name": call.name, "arguments": json.loads(call.arguments)}) for call in message.tool_calls]
        turn["tool_calls"] = [{"type": "function", "function": call, **({"id": name} if name else {})} for name, call in calls]
    return turn


def _template(folder: Path, config: dict[str, Any]) -> str | None:
    if (folder / "chat_template.jinja").is_file():
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    found = config.get("chat_template")
    if isinstance(found, list):
        found = next((one.get("template") for one in found if one.get("name") == "default"), None)
    return found if isinstance(found, str) else None


def _json(file: Path) -> dict[str, Any]:
    found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return found if isinstance(found, dict) else {}


def _text(token: Any) -> str:
    return str(token["content"] if isinstance(token, dict) else token)


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)
