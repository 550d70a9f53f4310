"""Drift and harm, ours beside Evidently and river: false alarms, power, delay. `python -m benchmarks.drift [part ...]`.

Each part appends lines to `build/drift.jsonl` as it goes and prints them as a table. The rivals run in an environment of their own,
`build/rivals`, made by `python -m venv build/rivals && build/rivals/bin/pip install -r benchmarks/requirements-drift.txt`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.drift_data import Scenario, advisories, banking77, clinc150, made_up, rustsec
from benchmarks.drift_loop import loop_lines, meaning_lines
from provetune.monitoring.drift import find_drift, permutations_for
from provetune.monitoring.sample import Row, Sample
from provetune.monitoring.settings import Settings
from provetune.stats.prediction_powered import prediction_powered_mean
from provetune.stats.sequential import ALARM, PAIRED_BETS, first_at, run_paths, wealth_paths

BUILD = Path("build")
RIVALS = BUILD / "rivals" / "bin" / "python"
Line = dict[str, Any]
CELLS = (
    (rustsec, (240, 60), 0.2, 60),
    (rustsec, (240, 120), 0.1, 60),
    (clinc150, (240, 240), 0.4, 60),
    (clinc150, (2000, 500), 0.2, 30),
    (banking77, (240, 240), 0.4, 60),
    (banking77, (2000, 500), 0.2, 30),
)
NULLS = ((rustsec, (240, 60)), (clinc150, (240, 240)), (banking77, (240, 240)), (made_up, (240, 240)))


def sample(texts: list[str]) -> Sample:
    """Texts as a sample."""
    return Sample(tuple(map(Row, texts)))


def looked(scenario: Scenario, sizes: tuple[int, int], share: float, seed: int, alpha: float = 0.05) -> dict[str, bool]:
    """Which of our tests, alone at 5 %, and which verdict at `alpha` saw the difference."""
    reference, window = scenario.draw(sizes, share, seed)
    found, _, signals = find_drift(sample(reference), sample(window), alpha, Settings(permutations_for(alpha), seed))
    alone = {one.detector: one.p_value is not None and one.p_value <= 0.05 for one in signals if one.family != "slice"}
    return {**alone, "noticed": found in ("drift", "slight"), "above the floor": found == "drift"}


def shares(rows: list[dict[str, bool]]) -> dict[str, float]:
    """Share of runs in which each saw it."""
    return {name: round(float(np.mean([row[name] for row in rows])), 4) for name in rows[0]}


def nulls(most: int = 1000, seconds: float = 90.0) -> Iterator[Line]:
    """D1: false alarms at 5 %, each corpus until `most` trials or `seconds` of processor time."""
    for make, sizes in NULLS:
        scenario, rows, begun = make(), [], time.process_time()
        while len(rows) < most and time.process_time() - begun < seconds:
            rows.append(looked(scenario, sizes, 0.0, 10_000 + len(rows)))
        kept = {name: share for name, share in shares(rows).items() if name in ("new_terms", "mmd_terms", "lengths", "noticed")}
        yield {"goal": "D1", "scenario": scenario.name, "sizes": sizes, "trials": len(rows), **kept}


def power() -> Iterator[Line]:
    """D2: how often a planted share of an unseen kind is seen at 5 %."""
    for make, sizes, share, trials in CELLS:
        scenario = make()
        rows = [looked(scenario, sizes, share, seed) for seed in range(trials)]
        kept = {name: value for name, value in shares(rows).items() if name in ("new_terms", "mmd_terms", "noticed", "above the floor")}
        yield {"goal": "D2", "scenario": scenario.name, "sizes": sizes, "share": share, "trials": trials, **kept}


def half_years(trials: int = 60) -> Iterator[Line]:
    """D3: any alarm in 26 weekly looks without drift, and the power that the spent level leaves."""
    scenario, hits = banking77(), 0
    for seed in range(trials):
        order = np.random.default_rng([seed, 3]).permutation(len(scenario.usual))
        texts = [scenario.usual[place] for place in order]
        reference = sample(texts[:240])
        windows = (sample(texts[240 + 60 * week : 300 + 60 * week]) for week in range(26))
        hits += any(find_drift(reference, one, 0.05 / 26, Settings(permutations_for(0.05 / 26), seed))[0] != "none" for one in windows)
    yield {"goal": "D3", "scenario": scenario.name, "what": "any alarm in 26 looks", "trials": trials, "noticed": round(hits / trials, 4)}
    rows = [looked(rustsec(), (240, 60), 0.2, seed, 0.05 / 26) for seed in range(40)]
    yield {"goal": "D3", "scenario": "A RustSec", "what": "20 % at 0.05/26", "trials": 40, "noticed": shares(rows)["noticed"]}


def terms() -> Iterator[Line]:
    """D4: words of the real window 2025-10-21 to 2026-02-20 against 20 draws of 300 earlier advisories."""
    rows = advisories()
    window = sample([row["text"] for row in rows if "2025-10-21" <= row["date"] <= "2026-02-20"])
    before = [row["text"] for row in rows if row["date"] < "2025-10-21"]
    known, firsts = {"removed", "malicious", "steal", "credentials"}, []
    for seed in range(20):
        picked = np.random.default_rng([seed, 4]).permutation(len(before))[:300]
        _, _, signals = find_drift(sample([before[place] for place in picked]), window, 0.05, Settings(seed=seed))
        firsts.append([term.term for term in next(one for one in signals if one.detector == "new_terms").terms])
    three = float(np.mean([len(known & set(first[:5])) >= 3 for first in firsts]))
    yield {"goal": "D4", "what": "3 of 4 known words in the first five", "trials": 20, "share": three, "for example": firsts[0][:8]}


def tiny() -> Iterator[Line]:
    """D5 and D6: a difference that is real and does not matter, in 50,000 texts a side; other seeds."""
    scenario = made_up()
    found = []
    for seed in range(20):
        random = np.random.default_rng([seed, 5])
        picked = [scenario.usual[place] for place in random.permutation(len(scenario.usual))]
        window = [*picked[2000:3960], *(scenario.unseen[place] for place in random.permutation(len(scenario.unseen))[:40])]
        found.append(find_drift(sample(picked[:2000]), sample(window), 0.05, Settings(seed=seed))[0])
    yield {
        "goal": "D5",
        "what": "2 % of the texts of another kind, no action",
        "trials": 20,
        "share": float(np.mean([f != "drift" for f in found])),
    }
    reference, window = rustsec().draw((240, 120), 0.2, 1)
    verdicts = [find_drift(sample(reference), sample(window), 0.05, Settings(seed=seed))[0] for seed in [*range(30), 0]]
    same = float(np.mean([one == verdicts[0] for one in verdicts]))
    yield {"goal": "D6", "what": "other seeds, same verdict", "trials": 30, "share": same}


def harm() -> Iterator[Line]:
    """C1 to C4 on Bernoulli losses, many streams at once."""
    random = np.random.default_rng(1)
    ever = [(wealth_paths(random.random((250, 10_000)) < 0.10, 0.10).max(axis=1) >= ALARM).mean() for _ in range(4)]
    yield {"goal": "C1", "what": "any alarm in 10,000 labels, error = claim", "trials": 1000, "share": round(float(np.mean(ever)), 4)}
    for after in (0.15, 0.20, 0.30):
        fresh = first_at(wealth_paths(random.random((1000, 1000)) < after, 0.10), ALARM)
        yield _delay("C2", f"e-process, claim 0.10, fresh, 10 -> {after:.0%}", fresh)
        runs = run_paths(np.hstack([random.random((1000, 1000)) < 0.10, random.random((1000, 1000)) < after]), 0.12)
        for length in (2000.0, 4000.0):
            yield _delay("C2", f"run {length:.0f}, claim 0.12, after 1,000 stable, 10 -> {after:.0%}", first_at(runs[:, 1000:], length))
    for rate in (1.0, 0.1, 0.02):
        losses = random.random((400, 20_000)) < 0.10
        arrival = np.argsort(np.arange(20_000) + random.integers(0, 6000, 20_000))  # delayed by up to 60 of 200 days, in random order
        labelled = losses[:, arrival][:, random.random(20_000) < rate]
        share = float((wealth_paths(labelled, 0.10).max(axis=1) >= ALARM).mean())
        yield {"goal": "C3", "what": f"labels {rate:.0%}, delayed, error = claim", "trials": 400, "share": share}
    for agreement in (0.8, 0.9, 0.95):
        yield {"goal": "C4", "what": f"200 labels, judge agrees {agreement:.0%}", "trials": 1000, "cover": _cover(agreement)}
    for disagreement in (0.12, 0.20, 0.30):
        chances = [disagreement / 2 + 0.05, disagreement / 2 - 0.05]
        worse = random.choice([1, -1, 0], (1000, 1000), p=[*chances, 1 - disagreement])
        yield _delay(
            "L2", f"10 points worse, disagreement {disagreement:.0%}", first_at(wealth_paths(worse, 0.0, np.array(PAIRED_BETS)), ALARM)
        )
    even = random.choice([1, -1, 0], (1000, 2000), p=[0.1, 0.1, 0.8])
    share = float((wealth_paths(even, 0.0, np.array(PAIRED_BETS)).max(axis=1) >= ALARM).mean())
    yield {"goal": "L3", "what": "equal models, any roll-back in 2,000 pairs", "trials": 1000, "share": share}


def _delay(goal: str, what: str, delays: np.ndarray) -> Line:
    median = float(np.median(np.where(delays == 0, 10**6, delays)))
    return {"goal": goal, "what": what, "trials": len(delays), "median delay": median, "missed": round(float((delays == 0).mean()), 4)}


def _cover(agreement: float) -> float:
    hits = 0
    for seed in range(1000):
        random = np.random.default_rng([seed, 6])
        truth = (random.random(2200) < 0.85).astype(float)
        judged = np.where(random.random(2200) < agreement, truth, 1 - truth)
        found = prediction_powered_mean(truth[:200].tolist(), judged[:200].tolist(), judged[200:].tolist())
        hits += found.low is not None and found.high is not None and found.low <= 0.85 <= found.high
    return hits / 1000


def new_domains() -> Iterator[Line]:
    """CLINC150, two unseen domains arriving: requests until the first notice, windows of 100 requests, cumulative up to 500."""
    scenario = clinc150()
    for share in (0.2, 0.1):
        delays = []
        for seed in range(20):
            reference, window = scenario.draw((2000, 1000), share, seed)
            order = np.random.default_rng([seed, 8]).permutation(len(window))
            delay = 0
            for count in (250, 500, 1000):  # three looks share the level
                part = [window[place] for place in order[:count]]
                if find_drift(sample(reference), sample(part), 0.05 / 3, Settings(permutations_for(0.05 / 3), seed))[0] != "none":
                    delay = count
                    break
            delays.append(delay)
        within = float(np.mean([0 < one <= 500 for one in delays]))
        yield {**_delay("real", f"CLINC150, {share:.0%} of two unseen domains", np.array(delays)), "within 500": within}


def rivals() -> Iterator[Line]:
    """Evidently on the same texts, river on streams of the same kind, in their own environment."""
    cells = [(*NULLS[k], 0.0, 20) for k in range(3)] + [(make, sizes, share, 15) for make, sizes, share, _ in CELLS if sizes[0] < 1000]
    wanted = []
    for make, sizes, share, trials in cells:
        scenario = make()
        pairs = [scenario.draw(sizes, share, seed if share else 10_000 + seed) for seed in range(trials)]
        wanted.append({"scenario": scenario.name, "sizes": sizes, "share": share, "pairs": pairs})
    file = BUILD / "drift_pairs.json"
    file.write_text(json.dumps(wanted), encoding="utf-8")
    command = [str(RIVALS), "benchmarks/drift_rivals.py", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        yield from (json.loads(line) for line in child.stdout if line.startswith("{"))


def events() -> Iterator[Line]:
    """Events a second through the whole reader, memory, and what 10 million take."""
    from benchmarks.drift_events import throughput

    yield from throughput(BUILD / "drift_events")


PARTS: dict[str, Callable[[], Iterator[Line]]] = {
    "harm": harm,
    "power": power,
    "terms": terms,
    "tiny": tiny,
    "half_years": half_years,
    "nulls": nulls,
    "loop": loop_lines,
    "meaning": meaning_lines,
    "new_domains": new_domains,
    "events": events,
    "rivals": rivals,
}


def main(names: list[str]) -> None:
    """Run the parts and write their lines."""
    BUILD.mkdir(exist_ok=True)
    for name in names or list(PARTS):
        begun = time.process_time()
        for line in PARTS[name]():
            print(" | ".join(f"{key} {value}" for key, value in line.items()), flush=True)
            with (BUILD / "drift.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps({"part": name, **line}) + "\n")
        print(f"-- {name}: {time.process_time() - begun:.0f} CPU-seconds", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
