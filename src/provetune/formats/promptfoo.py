"""Prompts in configurations of promptfoo (`promptfooconfig.yaml`, or JSON), read and written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from provetune.errors import DataError
from provetune.formats.text import read_text
from provetune.records.candidate import Prompt
from provetune.records.data import Message
from provetune.records.prompt_search import NamedPrompt, PromptSet

VARIABLE = "message"
"""What our own prompts call the user's text."""
_SLOT = re.compile(r"\{\{-?\s*([A-Za-z_]\w*)\s*-?\}\}")
_RAW = re.compile(r"\{%-?\s*raw\s*-?%\}(.*?)\{%-?\s*endraw\s*-?%\}", re.DOTALL)
_LOGIC = re.compile(r"\{\{|\{%|\{#")
_TEXTS, _CHATS = (".txt", ".md", ".j2"), (".json", ".yaml", ".yml")


class _NoCounterpart(Exception):
    """Why an entry cannot be a prompt here."""


def read_promptfoo(file: Path) -> PromptSet:
    """The prompts of a configuration, with those in files of its folder. Raises DataError on a file that holds none for us."""
    config = _yaml(file)
    if not isinstance(config, dict) or not config.get("prompts"):
        raise DataError(f"{file}: found no 'prompts', wanted a configuration of promptfoo with a list of them")
    found, left_out = [], [f"{key}: has no counterpart" for key in config if key not in ("prompts", "description", "$schema")]
    for name, content in _entries(config["prompts"], file.parent.resolve(), left_out):
        try:
            found.append(NamedPrompt(name=name, prompt=_prompt(name, content, left_out)))
        except _NoCounterpart as error:
            left_out.append(f"{name}: {error}")
    if not found:
        raise DataError(f"{file}: found no prompt that can be used here: {'; '.join(left_out)}")
    return PromptSet(source=f"promptfoo {file.name}", prompts=tuple(found), left_out=tuple(left_out))


def _yaml(file: Path) -> Any:
    try:
        return yaml.safe_load(read_text(file))
    except (yaml.YAMLError, RecursionError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        raise DataError(f"{file}:{line}: not YAML: {' '.join(str(error).split())[:200]}; mend it there") from None


def _entries(given: Any, folder: Path, left_out: list[str]) -> Iterator[tuple[str, Any]]:
    """Name and content (a text, or a list of messages) of each prompt; a file may hold several, parted by lines of three dashes."""
    listed = list(given.items()) if isinstance(given, dict) else [(None, one) for one in (given if isinstance(given, list) else [given])]
    for number, (path, entry) in enumerate(listed, start=1):
        raw = path or (entry.get("raw") or entry.get("id") if isinstance(entry, dict) else entry)
        label = (entry.get("label") or entry.get("id") if isinstance(entry, dict) else path and entry) or f"prompt {number}"
        if not isinstance(raw, str):
            left_out.append(f"{label}: found no text")
        elif path or raw.startswith("file://") or (" " not in raw.strip() and Path(raw).suffix in (*_TEXTS, *_CHATS, ".py", ".js")):
            yield from _from_files(str(label), raw.removeprefix("file://"), folder, left_out)
        else:
            yield str(label), raw


def _from_files(label: str, pattern: str, folder: Path, left_out: list[str]) -> Iterator[tuple[str, Any]]:
    if not pattern or Path(pattern).is_absolute():
        left_out.append(f"{label}: {pattern} lies outside the configuration's folder; copy it there")
        return
    files = sorted(folder.glob(pattern))
    if not files:
        left_out.append(f"{label}: found no file {pattern} beside the configuration")
    for file in files:
        if not file.resolve().is_relative_to(folder):
            left_out.append(f"{label}: {pattern} lies outside the configuration's folder; copy it there")
        elif file.suffix in _CHATS:
            yield (label if len(files) == 1 else file.stem), _yaml(file)
        elif file.suffix in _TEXTS:
            texts = [text.strip() for text in re.split(r"^---\s*$", read_text(file), flags=re.MULTILINE) if text.strip()]
            yield from ((f"{file.stem} {n}" if len(texts) > 1 else file.stem, text) for n, text in enumerate(texts, start=1))
        else:
            left_out.append(f"{label}: {file.name} is a program or a table; write the prompts that it makes into a text file")


def _prompt(name: str, content: Any, left_out: list[str]) -> Prompt:
    turns = _turns(content)
    slots = {slot for _, text in turns for slot in _SLOT.findall(_RAW.sub("", text))}
    if len(slots) != 1 or not turns or turns[-1][0] != "user":
        raise _NoCounterpart(f"found the variables {', '.join(sorted(slots)) or 'none'}, wanted one, in the last message, from the user")
    *before, (_, last) = turns
    if any(_LOGIC.search(_RAW.sub("", text)) for _, text in before) or len(_LOGIC.findall(_RAW.sub("", last))) != 1:
        raise _NoCounterpart("found template logic or a variable written twice; only one plain {{variable}} has a counterpart")
    slot = next(found for found in _SLOT.finditer(last) if not any(r.start() < found.start() < r.end() for r in _RAW.finditer(last)))
    above, below = (_plain(part).strip() for part in (last[: slot.start()], last[slot.end() :]))
    lines = [_plain(text).strip() for role, text in before if role == "system"]
    talk = [(role, _plain(text)) for role, text in before if role != "system"]
    if [role for role, _ in talk] != ["user", "assistant"] * (len(talk) // 2):
        raise _NoCounterpart("found earlier turns that are no pairs of user and assistant")
    if above:
        left_out.append(f"{name}: the words before the message stand in the system line")
    shots = tuple(
        (Message(role="user", content=asked), Message(role="assistant", content=answered))
        for (_, asked), (_, answered) in zip(talk[::2], talk[1::2], strict=True)
    )
    system = "\n\n".join(filter(None, (*lines, above))) or None
    plain = not (system or shots or below)
    return Prompt(strategy="plain" if plain else "few-shot" if shots else "zero-shot", system=system, shots=shots, turn=below or None)


def _turns(content: Any) -> list[tuple[str, str]]:
    """(role, text) of each message; a text that is no list of messages is one message of the user."""
    if isinstance(content, str) and content.lstrip().startswith("["):
        try:
            content = json.loads(content)
        except ValueError:
            content = content.strip()
    if isinstance(content, str):
        return [("user", content)]
    if not isinstance(content, list) or not all(isinstance(m, dict) and isinstance(m.get("content"), str) for m in content):
        raise _NoCounterpart("found neither text nor messages with a role and a text")
    return [({"developer": "system"}.get(str(m.get("role")), str(m.get("role"))), m["content"]) for m in content]


def _plain(text: str) -> str:
    return _RAW.sub(lambda found: found[1], text)


def write_promptfoo(prompts: Sequence[NamedPrompt]) -> tuple[str, list[str]]:
    """A configuration with the prompts as chats that fill in `{{message}}`, and what it cannot hold. Providers and tests are yours to add.

    Raises DataError where not one prompt can be written.
    """
    entries, left_out = [], []
    for name, prompt in ((named.name, named.prompt) for named in prompts):
        if prompt.similar is not None:
            left_out.append(f"{name}: each row has shots of its own, which no text can hold")
            continue
        if prompt.answer_marker is not None:
            left_out.append(f"{name}: the answer is what stands after {prompt.answer_marker!r}; cut it off with a 'transform'")
        turns = [("system", prompt.system)] if prompt.system is not None else []
        turns += [(message.role, message.content) for shot in prompt.shots for message in shot]
        chat = [{"role": role, "content": _escaped(text)} for role, text in turns]
        below = "" if prompt.turn is None else f"\n\n{_escaped(prompt.turn)}"
        chat.append({"role": "user", "content": f"{{{{{VARIABLE}}}}}{below}"})
        entries.append({"label": name, "raw": json.dumps(chat, ensure_ascii=False)})
    if not entries:
        raise DataError(f"found no prompt that promptfoo can hold: {'; '.join(left_out) or 'there is none'}")
    return yaml.safe_dump({"prompts": entries}, allow_unicode=True, sort_keys=False, width=140), left_out


def _escaped(text: str) -> str:
    return f"{{% raw %}}{text}{{% endraw %}}" if _LOGIC.search(text) else text
