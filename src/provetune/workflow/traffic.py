"""`traffic`: what the request log is for beside watching: rows for the next data set, rows to be labelled, A/B, erasing."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provetune.errors import DataError
from provetune.records.data import Message
from provetune.records.paired import PairedVerdict
from provetune.records.traffic import Feedback, Route, TrafficRecord
from provetune.store import write_atomic
from provetune.traffic import TRAFFIC_FILE, Salt, TrafficReader, erase_user, expire
from provetune.workflow.compare import CompareWish, compare_files
from provetune.workflow.serve import SALT_FILE


@dataclass(frozen=True)
class Exported:
    """Rows that were written, and requests that were not, by reason."""

    rows: int
    left_out: dict[str, int]


def export_rows(folder: Path, out: Path, *, unlabelled: bool) -> Exported:
    """Write redacted requests as chat rows for `init` and `label`; a group ties the rows of one user together.

    A corrected answer becomes the target, an answer with a thumb up is its own. With `unlabelled` the others are written, without
    a target. Shadows, failures and requests whose text is gone are left out.
    """
    rows: list[dict[str, Any]] = []
    left_out = {"text not kept": 0, "not answered": 0, "with a label" if unlabelled else "without a label": 0}
    for record, said in TrafficReader(folder / TRAFFIC_FILE).judged():
        if record.route == "shadow":
            continue
        target = right_answer(record, said)
        if record.prompt is None or record.completion is None:
            left_out["text not kept"] += 1
        elif record.finish not in ("stop", "length"):
            left_out["not answered"] += 1
        elif (target is not None) is unlabelled:
            left_out["with a label" if unlabelled else "without a label"] += 1
        else:
            rows.append(_row(record, record.prompt, target))
    write_atomic(out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return Exported(len(rows), {reason: count for reason, count in left_out.items() if count})


def right_answer(record: TrafficRecord, said: Sequence[Feedback]) -> str | None:
    """The answer as it should have been: the last correction, or what was written where a thumb went up; None where nobody said."""
    corrections = [one.correction for one in said if one.correction]
    if corrections:
        return corrections[-1]
    thumbs = [one.thumb for one in said if one.thumb is not None]
    return record.completion if thumbs and thumbs[-1] == "up" else None


def _row(record: TrafficRecord, prompt: tuple[Message, ...], target: str | None) -> dict[str, Any]:
    turns = [{"role": turn.role, "content": turn.content} for turn in prompt]
    answer = [] if target is None else [{"role": "assistant", "content": target}]
    row: dict[str, Any] = {"id": record.request_id, "messages": turns + answer, "source": "traffic", "at": record.at}
    return {**row, "group": record.user} if record.user else row


def compare_routes(folder: Path, route: Route, metric: str) -> PairedVerdict:
    """The proof's paired verdict against the champion, from the requests that both answered and somebody corrected.

    DataError where there are none.
    """
    seen = list(TrafficReader(folder / TRAFFIC_FILE).judged())
    pairs = list(_pairs(seen, route))
    if not pairs:
        raise DataError(
            f"{folder / TRAFFIC_FILE}: found no request that {route} and champion both answered and that was corrected, wanted some; "
            "POST /v1/feedback with a correction makes them"
        )
    with tempfile.TemporaryDirectory() as place:
        files = [Path(place) / f"{name}.jsonl" for name in (route, "champion")]
        for file, side in zip(files, (0, 1), strict=True):
            rows = [{"id": name, "prediction": texts[side], "target": target, "group": user} for name, texts, target, user in pairs]
            write_atomic(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        return compare_files(CompareWish(files[0], files[1], metric))


def _pairs(seen: Sequence[tuple[TrafficRecord, Sequence[Feedback]]], route: Route) -> Iterator[tuple[str, tuple[str, str], str, str]]:
    """(request, (what `route` wrote, what the champion wrote), right answer, group) where all three are known."""
    beside = {record.answers: record for record, _ in seen if record.route == "shadow" and record.answers}
    wanted = "champion" if route == "shadow" else route
    for record, said in seen:
        other = beside.get(record.request_id)
        corrections = [one.correction for one in said if one.correction]
        if record.route != wanted or other is None or not corrections or record.completion is None or other.completion is None:
            continue
        texts = (record.completion, other.completion)
        yield record.request_id, texts if route != "shadow" else texts[::-1], corrections[-1], record.user or record.request_id


def erase(folder: Path, user: str) -> int:
    """Delete all requests of a user, named as clients name them in `user`; how many."""
    return erase_user(folder / TRAFFIC_FILE, Salt(folder / SALT_FILE).hashed(user))


def expire_now(folder: Path) -> tuple[int, int]:
    """Drop texts older than 90 days and requests older than 400: how many of each."""
    return expire(folder / TRAFFIC_FILE)
