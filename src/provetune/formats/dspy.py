"""Prompts in saved programs of DSPy: the JSON that `program.save("program.json")` writes, read and written.

Such a file holds the instruction, the fields' prefixes and the demonstrations of each predictor; how DSPy words them in a request is
decided by its adapter and stands nowhere in the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from provetune.errors import DataError
from provetune.formats.jsonl import whole_object
from provetune.hashing import readable_json
from provetune.records.candidate import Prompt
from provetune.records.data import Message
from provetune.records.prompt_search import NamedPrompt, PromptSet

MARKER = "Answer:"
TURN = f'Think step by step. Then write "{MARKER}" and after it the answer alone.'
FIELDS = [{"prefix": "Message:", "description": "${message}"}, {"prefix": "Answer:", "description": "${answer}"}]


def read_dspy(file: Path) -> PromptSet:
    """The prompts of a saved program, one of each predictor. Raises DataError on a file that holds none."""
    content = whole_object(file)
    states = {"program": content} if "signature" in content else {k: v for k, v in content.items() if _is_state(v)}
    if not all(_is_state(state) for state in states.values()) or not states:
        keys = ", ".join(content) or "none"
        raise DataError(f'{file}: found keys {keys}, wanted predictors with a signature, as program.save("NAME.json") of DSPy writes them')
    left_out = ["the wording of requests by DSPy's adapter: instruction and demonstrations stand here as system line and shots"]
    prompts = tuple(NamedPrompt(name=name.removesuffix(".predict"), prompt=_prompt(name, s, left_out)) for name, s in states.items())
    return PromptSet(source=f"dspy {file.name}", prompts=prompts, left_out=tuple(left_out))


def _is_state(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("signature"), dict) and isinstance(value["signature"].get("fields"), list)


def _prompt(name: str, state: dict[str, Any], left_out: list[str]) -> Prompt:
    fields = [field for field in state["signature"]["fields"] if isinstance(field, dict)]
    names = [_name(field) for field in fields]
    thinking = len(names) > 2 and names[-2] in ("reasoning", "rationale")
    inputs = names[: -2 if thinking else -1]
    if len(names) > 2 + thinking:
        told = ", ".join(names[:-1])
        left_out.append(f"{name}: the file does not say which fields are written; {names[-1]} is taken as the answer, {told} as given")
    demos = [demo for demo in state.get("demos") or [] if isinstance(demo, dict)]
    whole = [demo for demo in demos if all(demo.get(key) not in (None, "") for key in (*inputs, *names[-1:]))]
    if len(whole) < len(demos):
        left_out.append(f"{name}: {len(demos) - len(whole)} of {len(demos)} demonstrations lack a field")
    left_out += [f"{name}: {key} has no counterpart" for key in ("lm", "traces", "train") if state.get(key)]
    shots = []
    for demo in whole:
        asked = [_text(demo[key]) for key in inputs]
        lines = asked if len(inputs) == 1 else [f"{f.get('prefix', '')} {text}" for f, text in zip(fields, asked, strict=False)]
        answer = _text(demo[names[-1]])
        if thinking:
            lines.append(f"\n{TURN}")
            answer = f"{_text(demo.get(names[-2]) or '')}\n{MARKER} {answer}".lstrip()
        shots.append((Message(role="user", content="\n".join(lines)), Message(role="assistant", content=answer)))
    parts = [*(["few-shot"] if shots else []), *(["chain-of-thought"] if thinking else [])]
    return Prompt(
        strategy="+".join(parts) or "zero-shot",
        system=_text(state["signature"].get("instructions") or "").strip() or None,
        shots=tuple(shots),
        turn=TURN if thinking else None,
        answer_marker=MARKER if thinking else None,
    )


def _name(field: dict[str, Any]) -> str:
    """The field's name: `${name}` where nobody has described it, else as its prefix was made from it."""
    told = re.fullmatch(r"\$\{(\w+)\}", str(field.get("description", "")))
    return told[1] if told else "_".join(str(field.get("prefix", "")).strip().removesuffix(":").lower().split())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def write_dspy(prompts: Sequence[NamedPrompt]) -> tuple[str, list[str]]:
    """The state of `dspy.Predict("message -> answer")` with one prompt, and what it cannot hold. Raises DataError on several prompts."""
    if len(prompts) != 1:
        raise DataError(
            f"found {len(prompts)} prompts ({', '.join(p.name for p in prompts)}), a DSPy program holds one; choose it with --prompt NAME"
        )
    name, prompt = prompts[0].name, prompts[0].prompt
    left_out = ["the wording of requests: DSPy's adapter puts its own words around instruction and demonstrations"]
    if prompt.answer_marker is not None:
        left_out.append(f"{name}: the answer is what stands after {prompt.answer_marker!r}; cut it off in your metric")
    state: dict[str, Any] = {
        "traces": [],
        "train": [],
        "demos": [{"message": asked.content, "answer": answered.content} for asked, answered in prompt.shots],
        "signature": {"instructions": "\n\n".join(filter(None, (prompt.system, prompt.turn))), "fields": FIELDS},
        "lm": None,
        "metadata": {"dependency_versions": {}},
    }
    return readable_json(state), left_out
