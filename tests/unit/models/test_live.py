"""Pieces that many callers get from one model: the same text as evaluation, stop texts, letters of several tokens, faults."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provetune.chat import encode_prompt
from provetune.errors import ModelError, SpecError
from provetune.models.live import LiveModel, LiveRequest, Piece
from provetune.models.tokenizer import FolderTokenizer
from provetune.models.transformers import load_model
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message

SETTINGS = GenerationSettings(max_new_tokens=24)


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Iterator[LiveModel]:
    made = LiveModel(load_model(tiny_folder), FolderTokenizer(tiny_folder))
    yield made
    made.close()


def turns(k: int) -> tuple[Message, ...]:
    return (Message(role="system", content="Name the queue of this ticket, in one word."), Message(role="user", content=f"ticket {k}"))


def asked(model: LiveModel, k: int, **wish: Any) -> list[Piece]:
    """All pieces of one completion."""
    pieces, done = [], threading.Event()

    def emit(piece: Piece) -> None:
        pieces.append(piece)
        if piece.end is not None:
            done.set()

    request = LiveRequest(encode_prompt(turns(k), model.tokenizer), **{"settings": SETTINGS, **wish})
    model.submit(request, emit)
    assert done.wait(30)
    return pieces


def test_many_callers_get_the_texts_of_evaluation(model: LiveModel, tiny_folder: Path) -> None:
    wanted = model.generator.generate([turns(k) for k in range(24)], SETTINGS, lambda *_: None)
    found: dict[int, list[Piece]] = {}
    threads = [
        threading.Thread(target=lambda k=k: found.__setitem__(k, asked(model, k, every_piece=bool(k % 2)))) for k in range(len(wanted))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ["".join(piece.text for piece in found[k]) for k in range(24)] == [one.text for one in wanted]
    assert all(found[k][-1].tokens == wanted[k].completion_tokens for k in range(24))
    assert max(len(pieces) for pieces in found.values()) > 5 and len(found[0]) == 1


def test_a_stop_text_ends_it_and_is_not_said(model: LiveModel) -> None:
    whole = asked(model, 0)[0].text
    stop = whole[5:8]
    assert stop and whole.index(stop) <= 5
    for every_piece in (False, True):
        pieces = asked(model, 0, stop=("never written", stop), every_piece=every_piece)
        assert "".join(piece.text for piece in pieces) == whole[: whole.index(stop)]
        assert pieces[-1].end == "stop" and pieces[-1].tokens < 24


def test_schemas_are_held_to_and_bad_ones_refused_before_anything_is_written(model: LiveModel) -> None:
    schema = '{"type": "object", "properties": {"queue": {"enum": ["a", "b"]}}, "required": ["queue"], "additionalProperties": false}'
    [piece] = asked(model, 1, settings=GenerationSettings(max_new_tokens=40, json_schema=schema))
    assert piece.text.replace(" ", "") in ('{"queue":"a"}', '{"queue":"b"}') and piece.end == "stop"
    with pytest.raises(SpecError, match="no JSON"):
        model.rules(GenerationSettings(json_schema="{"))


def test_what_fails_fails_alone(model: LiveModel, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("provetune.engine.live.fill", lambda *_: (_ for _ in ()).throw(RuntimeError("out of memory")))
        [piece] = asked(model, 2)
    assert piece.end == "error" and piece.error == "the model failed (RuntimeError)"
    assert asked(model, 2)[0].end in ("stop", "length")


def test_a_cancelled_request_is_told(model: LiveModel) -> None:
    done, ends = threading.Event(), []
    request = LiveRequest(encode_prompt(turns(0), model.tokenizer), GenerationSettings(max_new_tokens=300))
    ticket = model.submit(request, lambda piece: (ends.append(piece.end), done.set()))  # type: ignore[arg-type,func-returns-value]
    ticket.cancel()
    assert done.wait(30) and ends == ["cancelled"]


def test_a_closed_model_takes_nothing(tiny_folder: Path) -> None:
    made = LiveModel(load_model(tiny_folder), FolderTokenizer(tiny_folder))
    ends: list[Any] = []
    made.submit(LiveRequest([5, 6], GenerationSettings(max_new_tokens=400)), lambda piece: ends.append(piece.end))
    made.close()
    assert not made.alive and ends and ends[-1] == "error"
    with pytest.raises(ModelError, match="being closed"):
        made.submit(LiveRequest([5, 6], SETTINGS), lambda piece: None)


def test_letters_of_several_tokens_are_said_whole(tiny_folder: Path) -> None:
    from provetune.models.live import _Reading

    tokenizer = FolderTokenizer(tiny_folder)
    ids = tokenizer.encode("naïve 😀 日本")
    reading = _Reading(tokenizer, ())
    parts = [reading.more(ids[: k + 1], last=k + 1 == len(ids)) for k in range(len(ids))]
    assert "".join(parts) == "naïve 😀 日本" and not any("\ufffd" in part for part in parts) and "😀" in parts
