"""Golden prompts: validation rows with the texts that were measured on them, by which any other loader can be checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from provetune.chat import prompt_messages, tools_of, turn_ids
from provetune.errors import FolderError
from provetune.hashing import readable_json
from provetune.models.plain import as_turn
from provetune.records.candidate import Candidate, GenerationSettings
from provetune.records.data import Message
from provetune.records.evaluation import Evidence, Prediction
from provetune.store import lines_of
from provetune.workflow.project import Project
from provetune.workflow.tuned import load_generator

GOLDEN_PROMPTS = 50


def golden_text(project: Project, evidence: Evidence, candidate: Candidate) -> str:
    """`golden.json`: up to 50 validation rows, evenly spread, with the text that the evaluation measured.

    A completion that is scored, drawn or held to a JSON schema no other loader repeats: there it is what the same weights write freely.
    FolderError where the predictions are gone.
    """
    from provetune.models.merging import dtype_here

    settings, rows = candidate.generation, {example.id: example for example in project.examples}
    predictions = [one for one in _predictions(project, evidence, candidate) if one.text is not None and one.example_id in rows]
    chosen = [predictions[place * len(predictions) // GOLDEN_PROMPTS] for place in range(GOLDEN_PROMPTS)]
    chosen = list({one.example_id: one for one in chosen}.values()) if len(predictions) > GOLDEN_PROMPTS else predictions
    evaluated = not (settings.scored or settings.json_schema is not None or settings.temperature > 0)
    asked = [prompt_messages(candidate.prompt, rows[one.example_id]) for one in chosen]
    texts = [str(one.text) for one in chosen] if evaluated else _written_freely(project, candidate, asked)
    stops = project.tokenizer.stop_ids
    held = settings.choices if evaluated else ()
    return readable_json(
        {
            "kind": "evaluated" if evaluated else "free",
            "dtype": dtype_here(project.base_folder),
            "stop_ids": sorted(stops),
            "bos_id": project.tokenizer.bos_id,
            "pad_id": project.tokenizer.pad_id,
            "max_new_tokens": settings.max_new_tokens,
            "choices": [[token for token in turn_ids(text, project.tokenizer) if token not in stops] for text in held],
            "prompts": [
                {"id": one.example_id, **_conversation(turns), "text": text} for one, turns, text in zip(chosen, asked, texts, strict=True)
            ],
        }
    )


def _conversation(messages: Sequence[Message]) -> dict[str, Any]:
    tools = tools_of(messages)
    return {"messages": [as_turn(message) for message in messages], **({"tools": list(tools)} if tools else {})}


def _predictions(project: Project, evidence: Evidence, candidate: Candidate) -> list[Prediction]:
    found = (e for e in evidence.evaluations if e.part == "validation" and e.candidate.fingerprint == candidate.fingerprint)
    evaluation = next(found, None)
    file = None if evaluation is None else project.folder / evaluation.predictions_file
    if file is None or not file.is_file():
        raise FolderError(f"{file or candidate.name}: the predictions on validation are missing; `provetune prove` writes them again")
    return [Prediction.model_validate_json(line) for line in lines_of(file)]


def _written_freely(project: Project, candidate: Candidate, asked: Sequence[Sequence[Message]]) -> list[str]:
    folder = project.folder / str(candidate.weights_folder)
    full = candidate.kind == "full"
    generator = load_generator(project, None if full else folder, folder if full else None)
    free = GenerationSettings(max_new_tokens=candidate.generation.max_new_tokens)
    return [one.text or "" for one in generator.generate(asked, free, lambda *_: None)]
