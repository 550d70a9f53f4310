"""`vote`: people compare two candidates' completions, without their names and in random order."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provetune.errors import DataError, EvidenceError, FolderError, SpecError
from provetune.evaluation.blind_votes import vote_agreement, win_rate
from provetune.formats.predictions import read_predictions
from provetune.hashing import file_sha256, fingerprint
from provetune.labelling.incoming import Expected, votes_of
from provetune.labelling.round import Guideline, Round
from provetune.labelling.rows import Row
from provetune.labelling.spreadsheet import read_sheet, write_sheet
from provetune.labelling.votes import VoteLog, standing
from provetune.records.blind_votes import PairVotes, VoteReport
from provetune.records.data import Message
from provetune.records.evaluation import Evidence
from provetune.records.labels import LabelQueue, QueuedRow
from provetune.report.inputs import best_prompt, champion_evaluation
from provetune.store import Store, predicted_texts, write_atomic
from provetune.workflow.label import need_plain
from provetune.workflow.label_round import SHEETS
from provetune.workflow.stored_votes import REPORT
from provetune.workflow.verify import read_evidence

ANSWERS = ("1", "2", "both good", "both bad")
KEYS = ("1", "2", "3", "0")


@dataclass(frozen=True)
class Pair:
    """One example with both completions, the candidate's first."""

    id: str
    prompt: tuple[Message, ...]
    texts: tuple[str, str]


@dataclass(frozen=True)
class Voting:
    """Two candidates, the pairs that are shown, and the log; `names` and `keys` are candidate's, then baseline's."""

    folder: Path
    names: tuple[str, str]
    keys: tuple[str, str]
    rows: int
    equal: int
    pairs: tuple[Pair, ...]

    @property
    def log(self) -> VoteLog:
        """All raters' votes."""
        return VoteLog(self.folder / "votes.jsonl")

    def swapped(self, rater: str, pair: Pair) -> bool:
        """Whether this rater sees the baseline's completion first: by a hash, so that the order is the same after a break."""
        return hashlib.sha256(f"{self.keys}\n{rater}\n{pair.id}".encode()).digest()[0] % 2 == 1

    def row(self, rater: str, pair: Pair) -> Row:
        """What this rater is shown."""
        shown = reversed(pair.texts) if self.swapped(rater, pair) else pair.texts
        turns = [Message(role="assistant", content=f"[{place}] {text}") for place, text in enumerate(shown, start=1)]
        return Row(pair.id, (*pair.prompt, *turns), None, pair.id)


def open_voting(folder: Path, files: tuple[Path, Path] | None, count: int) -> Voting:
    """The latest run's tuned model against its best prompt, or two files of predictions; `count` pairs drawn by a hash of their ids.

    Raises FolderError without a decision, EvidenceError or DataError where completions are missing or the files share no example.
    """
    if files is None:
        names, keys, prompts, texts, place = _of_run(folder)
    else:
        read = [read_predictions(file) for file in files]
        texts = [{name: row.prediction for name, row in one.rows.items()} for one in read]
        names, keys = (str(files[0]), str(files[1])), (file_sha256(files[0]), file_sha256(files[1]))
        prompts, place = {}, files[0].with_name(f"{files[0].name}.votes")
    both = {name: (a, b) for name, a in texts[0].items() if a is not None and (b := texts[1].get(name)) is not None}
    if not both:
        raise DataError(f"{names[0]} and {names[1]} completed no example in common; wanted predictions for the same ids")
    differing = [name for name, (a, b) in both.items() if a.strip() != b.strip()]
    drawn = sorted(differing, key=lambda name: hashlib.sha256(f"{keys}{name}".encode()).digest())[:count]
    pairs = tuple(Pair(name, prompts.get(name, ()), both[name]) for name in drawn)
    return Voting(place / fingerprint([names, keys]), names, keys, len(both), len(both) - len(differing), pairs)


def round_of(voting: Voting, rater: str) -> Round:
    """The pairs as one rater sees them."""
    need_plain([rater], "--rater")
    rows = {pair.id: voting.row(rater, pair) for pair in voting.pairs}
    queue = LabelQueue(
        kind="random",
        number=1,
        dataset=fingerprint(voting.keys),
        seed=0,
        overlap=1.0,
        rows=tuple(QueuedRow(example_id=name, reason="random", shared=True) for name in rows),
    )
    return Round(rows, queue, rater, ANSWERS, Guideline(), voting.log, keys=KEYS, question="Which completion is better?")


def hand_out_pairs(work: Round, path: Path) -> int:
    """Write the pairs that the rater has not seen as a sheet; how many there are. SpecError on another kind of file."""
    if path.suffix not in SHEETS:
        raise SpecError(f"--to {path}: found the ending {path.suffix!r}, wanted {' or '.join(SHEETS)}")
    rows = [work.rows[queued.example_id] for queued in work.open_rows(work.held())]
    write_sheet(path, rows, work.labels, work.guideline)
    return len(rows)


def take_in_votes(work: Round, path: Path) -> tuple[int, dict[str, int]]:
    """Append the answers of a filled-in sheet; how many are new, and what was no vote, by reason. DataError on what was not shown."""
    incoming = read_sheet(path, work.annotator)
    votes = votes_of(incoming, Expected(work.rows, work.labels, "", work.held()), "sheet")
    if votes:
        work.log.append(votes)
    return len(votes), incoming.left_out


def tally(voting: Voting) -> VoteReport:
    """The report as it is now; also written beside the votes, from where the next `prove` takes it."""
    pairs = {pair.id: pair for pair in voting.pairs}
    counts: dict[str, list[int]] = {}
    raters: Counter[str] = Counter()
    aside = 0
    for (rater, name), vote in standing(voting.log.votes()).items():
        if vote.action != "vote" or vote.value not in ANSWERS:
            continue
        if name not in pairs or voting.row(rater, pairs[name]).key != vote.row:
            aside += 1
            continue
        place = ANSWERS.index(vote.value)
        place = 1 - place if place < 2 and voting.swapped(rater, pairs[name]) else place
        counts.setdefault(name, [0, 0, 0, 0])[place] += 1
        raters[rater] += 1
    votes: tuple[PairVotes, ...] = tuple((c[0], c[1], c[2], c[3]) for c in counts.values())
    report = VoteReport(
        candidate=voting.names[0],
        baseline=voting.names[1],
        candidate_key=voting.keys[0],
        baseline_key=voting.keys[1],
        rows=voting.rows,
        equal=voting.equal,
        pairs=len(voting.pairs),
        votes=votes,
        raters=dict(raters),
        set_aside=aside,
        win_rate=win_rate(votes),
        agreement=vote_agreement(votes),
    )
    if votes:
        write_atomic(voting.folder / REPORT, report.to_json())
    return report


_OfRun = tuple[tuple[str, str], tuple[str, str], Mapping[str, tuple[Message, ...]], list[dict[str, str | None]], Path]


def _of_run(folder: Path) -> _OfRun:
    file = Store(folder).decided_run() / "evidence.json"
    evidence = read_evidence(file)
    sides = (champion_evaluation(evidence), best_prompt(evidence))
    if sides[0] is None or sides[1] is None:
        raise EvidenceError(f"{file}: holds no tuned model and prompt to compare; name two files of predictions")
    texts = [_texts(folder / side.predictions_file) for side in sides if side is not None]
    names = (sides[0].candidate.name, sides[1].candidate.name)
    return names, (sides[0].candidate.fingerprint, sides[1].candidate.fingerprint), _prompts(folder, evidence), texts, folder / "votes"


def _prompts(folder: Path, evidence: Evidence) -> dict[str, tuple[Message, ...]]:
    """What was asked, from the rows that this very proof opened: the same opening, not a new one."""
    store, spec = Store(folder), fingerprint(evidence.fixed_before_training)
    opening = next((one for one in store.openings() if one.spec == spec), None)
    if opening is None:
        raise EvidenceError(f"{folder}: the ledger does not show the opening of this proof; restore ledger.jsonl")
    rows, _ = store.open_test(f"{opening.test_sha256[:16]}.jsonl", opening)
    return {row.id: tuple(row.prompt_messages) for row in rows}


def _texts(file: Path) -> dict[str, str | None]:
    try:
        return predicted_texts(file)
    except OSError as error:
        raise FolderError(f"{file}: the predictions are missing ({error.strerror}); `provetune prove` writes them again") from error
