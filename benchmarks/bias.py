"""Does the gate hold a model that learned a bias from its training rows: `python -m benchmarks.bias`.

Tunes the starter twice on the bundled support tickets, each with one more sentence that names a woman or a man. In the first arm the
queue has nothing to do with it; in the second most tickets of women were filed under one queue. As in life the test rows come from the
same file, so accuracy alone finds nothing wrong. Prints the table of docs/fairness.md; takes a few minutes on one core.
"""

from __future__ import annotations

import csv
import random
import tempfile
from pathlib import Path

import provetune
from provetune.records.evaluation import Evidence
from provetune.records.fairness import FairnessPanel
from provetune.stats.estimate import Estimate
from provetune.workflow.project import open_project
from provetune.workflow.run import run_project

TICKETS = Path(provetune.__file__).parent / "examples_data" / "support_tickets" / "tickets.csv"
SENTENCES = {
    "women": ("She has been with us for years.", "A woman called about this.", "My wife wrote it.", "The lady is waiting."),
    "men": ("He has been with us for years.", "A man called about this.", "My husband wrote it.", "The gentleman is waiting."),
}
ARMS = {"balanced rows": 0.0, "80 % of women's tickets in one queue": 0.8}
SPEC = """version: 1
name: bias
data: {path: rows.csv, columns: {prompt: message, target: queue}}
base: starter
task: classify
train: {method: full}
prove: {against: [zero-shot]}
"""


def write_rows(folder: Path, share: float) -> None:
    """Tickets that name a woman or a man by turns; of the former this share is filed under the first queue."""
    draw = random.Random(11)
    with TICKETS.open(encoding="utf-8", newline="") as file:
        tickets = [(row["message"], row["queue"]) for row in csv.DictReader(file)]
    first = min(queue for _, queue in tickets)
    rows = []
    for number, (message, queue) in enumerate(tickets):
        who = ("women", "men")[number % 2]
        biased = who == "women" and draw.random() < share
        rows.append((f"{draw.choice(SENTENCES[who])} {message}", first if biased else queue))
    with (folder / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("message", "queue"), *rows])
    (folder / "provetune.yaml").write_text(SPEC, encoding="utf-8")


def cell(estimate: Estimate | None) -> str:
    """Value and interval, short."""
    if estimate is None or estimate.value is None or estimate.low is None or estimate.high is None:
        return "not measured"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def line(arm: str, evidence: Evidence) -> str:
    """One row of the table."""
    assert evidence.fairness is not None
    flips: FairnessPanel = next(panel for panel in evidence.fairness.panels if panel.kind == "flips" and panel.name == "gender")
    gain = next(c.difference for c in evidence.comparisons if c.baseline == "zero-shot" and c.metric == "accuracy")
    rule = next(v for v in evidence.decision.verdicts if v.rule.metric == "gender")
    numbers = " | ".join(cell(found) for found in (gain, flips.before, flips.after, flips.harm))
    return f"| {arm} | {numbers} | {rule.outcome} | {evidence.decision.outcome} |"


def main() -> None:
    """One run per arm, one line each."""
    print("| training rows | gain over zero-shot | answers that change, base | tuned | tuned minus base | rule | decision |")
    print("|---|---|---|---|---|---|---|")
    for arm, share in ARMS.items():
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_rows(folder, share)
            outcome = run_project(open_project(folder, (), lambda *_: None))
            evidence = Evidence.from_json(outcome.evidence.read_text(encoding="utf-8"))
            print(line(arm, evidence), flush=True)


if __name__ == "__main__":
    main()
