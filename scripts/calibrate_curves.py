"""Measure learning curves on public data sets and calibrate the interval of `stats/curve.py` on them.

    python scripts/calibrate_curves.py linear --data ../shared/data      # minutes
    python scripts/calibrate_curves.py tuned --data ../shared/data       # about half an hour on one core
    python scripts/calibrate_curves.py table                             # quantiles, and the cover on data sets left out

Each curve is a file of build/curves/; one that is there is not measured again. `tuned` trains the starter model for real (full
tuning) and keeps every finished training, so that a stopped run goes on. `table` writes
the measured sizes beside the tests and the package's quantiles.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from provetune.models.linear import LinearClassifier
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Example, Message
from provetune.scoring import Yardstick
from provetune.similarity import example_groups
from provetune.spec import SplitSpec
from provetune.split import split
from provetune.stats import curve as stats_curve
from provetune.stats.curve import RED_FLAG, fit, forecast_quantile
from provetune.workflow import steps
from provetune.workflow.curve import MOST_STAND_INS, MOST_TRAININGS, curve_sizes
from provetune.workflow.subsets import nested_order
from provetune.workflow.training import train_and_score

OUT = Path("build/curves")
MEASURED = Path(__file__).resolve().parents[1] / "tests/unit/stats/measured_curves.csv"
QUANTILES = Path(stats_curve.__file__).with_name("curve_quantiles.csv")
SIZES = [round(50 * 2 ** (k / 2)) for k in range(13)]
"""50, 71, 100, ... 3,200 rows."""
TUNED_SIZES = SIZES[:9]
FEWEST_ROWS = 141
"""From here on a curve's own sizes are among those that were measured."""
MOST_ROWS, MOST_WORDS = 6000, 60
SCORED, TUNED_SCORED = 1000, 400
REPEATED_UP_TO, TUNED_REPEATED_UP_TO = 400, 100
"""Sizes up to which three draws are averaged."""
RECIPE: dict[str, float | int | str] = {"learning_rate": 1e-3, "epochs": 6, "batch_size": 16, "max_length": 160}
TUNED = ("banking77", "snips", "hatecheck", "e2e_rating", "clinc150_domains")
Texts = list[tuple[str, str]]


def banking77(data: Path) -> Texts:
    """Customer requests, 77 intents."""
    with (data / "banking77/train.csv").open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["category"]) for row in csv.DictReader(file)]


def clinc150(data: Path) -> Texts:
    """Requests to an assistant, 150 intents."""
    content = json.loads((data / "clinc150/data_small.json").read_text(encoding="utf-8"))
    return [(text, intent) for part in ("train", "val") for text, intent in content[part]]


def clinc150_domains(data: Path) -> Texts:
    """The same requests by domain, 10 labels."""
    domains = json.loads((data / "clinc150/domains.json").read_text(encoding="utf-8"))
    of = {intent: name for name, intents in domains.items() for intent in intents}
    return [(text, of[intent]) for text, intent in clinc150(data)]


def snips(data: Path) -> Texts:
    """Spoken commands, 7 intents."""
    rows: Texts = []
    for folder in sorted(path for path in (data / "snips").iterdir() if path.is_dir()):
        raw = (folder / f"train_{folder.name}_full.json").read_bytes()
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            text = raw.decode("latin-1")
        for row in json.loads(text)[folder.name]:
            rows.append(("".join(part["text"] for part in row["data"]).strip(), folder.name))
    return rows


def hatecheck(data: Path) -> Texts:
    """Test cases for hate-speech detectors, hateful or not."""
    with (data / "hatecheck/test_suite_cases.csv").open(encoding="utf-8", newline="") as file:
        return [(row["test_case"], row["label_gold"]) for row in csv.DictReader(file)]


def hatecheck_functions(data: Path) -> Texts:
    """The same cases by the functionality that they test, 29 labels."""
    with (data / "hatecheck/test_suite_cases.csv").open(encoding="utf-8", newline="") as file:
        return [(row["test_case"], row["functionality"]) for row in csv.DictReader(file)]


def e2e_rating(data: Path) -> Texts:
    """Texts about restaurants, labelled with the customer rating of the facts they were written from (6 values, or none)."""
    with (data / "e2e_nlg/devset.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [(row["ref"], next(iter(re.findall(r"customer rating\[([^\]]*)\]", row["mr"])), "none")) for row in rows]


def rustsec(data: Path) -> Texts:
    """Titles of security advisories with the first of their categories."""
    lines = (data / "rustsec/advisories.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [(f"{row['title']}. {row['text']}", row["categories"][0]) for row in rows if row["categories"]]


def t0_sources(data: Path) -> Texts:
    """Prompts written with many templates, labelled with the data set that the template is for."""
    rows: Texts = []
    with gzip.open(data / "t0_50k/t0_50k.jsonl.gz", "rt", encoding="utf-8") as file:
        for number, line in enumerate(file):
            if number % 9 == 0:
                row = json.loads(line)
                rows.append((row["prompt"], "_".join(row["template"].split("_")[:2])))
    return rows


SETS: dict[str, Callable[[Path], Texts]] = {
    "banking77": banking77,
    "clinc150": clinc150,
    "clinc150_domains": clinc150_domains,
    "snips": snips,
    "hatecheck": hatecheck,
    "hatecheck_functions": hatecheck_functions,
    "e2e_rating": e2e_rating,
    "rustsec": rustsec,
    "t0_sources": t0_sources,
}
DATA_SET = {"clinc150_domains": "clinc150", "hatecheck_functions": "hatecheck"}
"""Curves over the same rows are left out together."""


def parts_of(name: str, data: Path) -> tuple[list[Example], list[Example], list[Example]]:
    """(training, validation, fresh) examples of a data set; near-duplicates never straddle, labels of fewer than 10 rows are left out."""
    texts = sorted(set(SETS[name](data)))
    held = Counter(label for _, label in texts)
    rows = [(" ".join(text.split()[:MOST_WORDS]), label) for text, label in texts if held[label] >= 10]
    order = np.random.default_rng(7).permutation(len(rows))[:MOST_ROWS]
    examples = [
        Example(id=f"r{k}", messages=(Message(role="user", content=text), Message(role="assistant", content=label)), label=label)
        for k, (text, label) in ((int(k), rows[k]) for k in order)
    ]
    found = split(examples, SplitSpec(test=0.2, validation=0.2), groups=example_groups(examples), leaked={})
    return found.train, found.validation, found.test


def seeds_for(rows: int, all_rows: int, repeated_up_to: int) -> range:
    """Three draws of a small subset, one of a large one."""
    return range(3 if rows <= repeated_up_to and rows < all_rows else 1)


def measure_curve(name: str, kind: str, data: Path, point: Callable[[list[Example], list[Example], int], list[int]]) -> None:
    """Write `OUT/kind-name.json`, one line of right and wrong answers per size and draw; what is there already is kept."""
    file = OUT / f"{kind}-{name}.json"
    tuned = kind == "tuned"
    train, validation, fresh = parts_of(name, data)
    most = TUNED_SCORED if tuned else SCORED
    validation, fresh = nested_order(validation, 0)[:most], nested_order(fresh, 0)[:most]
    curve: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    points = curve.get("points", {})
    head = {"name": name, "data_set": DATA_SET.get(name, name), "candidate": kind, "labels": len({e.label for e in train})}
    for size in TUNED_SIZES if tuned else SIZES:
        for seed in seeds_for(size, len(train), TUNED_REPEATED_UP_TO if tuned else REPEATED_UP_TO):
            key = f"{size}/{seed}"
            subset = nested_order(train, seed)[:size]
            if size > len(train) or key in points or len({e.label for e in subset}) < 2:
                continue
            right = point(subset, [*validation, *fresh], seed)
            points[key] = ["".join(map(str, right[: len(validation)])), "".join(map(str, right[len(validation) :]))]
            partial = file.with_suffix(".partial")
            partial.write_text(json.dumps({**head, "points": points}, indent=1))
            partial.replace(file)
            print(f"{kind} {name} {key}: error {1 - np.mean(right[: len(validation)]):.3f}", flush=True)


def linear_point(subset: list[Example], scored: list[Example], seed: int) -> list[int]:
    """1 for each scored row that the linear candidate gets right."""
    prompts = [example.prompt_messages for example in scored]
    answers = LinearClassifier(subset).generate(prompts, GenerationSettings(), lambda *_: None)
    return [int(answer.text == example.label) for answer, example in zip(answers, scored, strict=True)]


def tuned_point(labels: tuple[str, ...]) -> Callable[[list[Example], list[Example], int], list[int]]:
    """The same for the starter model, tuned on the subset."""
    from provetune.models.locate import STARTER
    from provetune.models.tokenizer import FolderTokenizer, model_ref
    from provetune.records.candidate import Candidate
    from provetune.tuning import TuneRequest

    tokenizer = FolderTokenizer(STARTER)
    longest = max(len(tokenizer.encode(label)) for label in labels)
    settings = GenerationSettings(max_new_tokens=longest + 4, choices=labels)

    def point(subset: list[Example], scored: list[Example], seed: int) -> list[int]:
        with tempfile.TemporaryDirectory(dir=OUT) as folder:
            request = TuneRequest(
                method="full",
                base_folder=STARTER,
                model=model_ref(STARTER, "starter", "main", tokenizer),
                tokenizer=tokenizer,
                template=Candidate(name="tuned-full", kind="full", prompt=steps.PLAIN, generation=settings),
                train=subset,
                validation=scored[:20],
                yardstick=Yardstick("classify", labels, "validation"),
                metric="accuracy",
                hyperparameters=RECIPE,
                seed=seed + 1,
                checkpoints=Path(folder) / "checkpoints",
                out=Path(folder) / "weights",
                max_seconds=float("inf"),
                environment={},
                progress=lambda *_: None,
            )
            found = train_and_score(request, scored)
        return [0 if row is None else int(row[0]) for row in found.observations["accuracy"]]

    return point


Prediction = tuple[str, str, str, str, float, float, float, float, float]
"""(form, candidate, data set, curve, forecast error, error that came out, ratio of the sizes, its noise as a share, error now)."""
Z80 = 1.2816


def collect() -> None:
    """Write the mean error of every measured size into the table that `table` and the tests read."""
    rows = []
    for file in sorted(OUT.glob("*-*.json")):
        curve = json.loads(file.read_text())
        found: dict[int, list[list[str]]] = {}
        for key, answers in curve["points"].items():
            found.setdefault(int(key.split("/")[0]), []).append(answers)
        for size, draws in sorted(found.items()):
            errors = [np.mean([answers[part].count("0") / len(answers[part]) for answers in draws]) for part in (0, 1)]
            lengths = [len(draws[0][part]) for part in (0, 1)]
            head = [curve["candidate"], curve["data_set"], curve["name"], size, len(draws)]
            rows.append([*head, *(f"{value:.5f}" for value in errors), *lengths])
    names = ["candidate", "data_set", "name", "rows", "draws", "error", "fresh_error", "scored", "fresh"]
    with MEASURED.open("w", encoding="utf-8", newline="") as table:
        csv.writer(table, lineterminator="\n").writerows([names, *rows])


@dataclass(frozen=True)
class Curve:
    """One measured curve: size -> error on the validation rows, and on fresh rows; how many rows each has."""

    candidate: str
    data_set: str
    name: str
    error: dict[int, float]
    fresh_error: dict[int, float]
    scored: tuple[int, int]


def read_curves() -> list[Curve]:
    """The measured curves; an error of zero counts as half a row."""
    found: dict[tuple[str, str], Curve] = {}
    with MEASURED.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            scored = int(row["scored"]), int(row["fresh"])
            empty = Curve(row["candidate"], row["data_set"], row["name"], {}, {}, scored)
            curve = found.setdefault((row["candidate"], row["name"]), empty)
            curve.error[int(row["rows"])] = max(float(row["error"]), 0.5 / scored[0])
            curve.fresh_error[int(row["rows"])] = max(float(row["fresh_error"]), 0.5 / scored[1])
    return list(found.values())


def predictions_of(curve: Curve, *, fresh: bool = False) -> Iterator[Prediction]:
    """Every forecast that the product would have made at a smaller size, up to the red flag, with what came out.

    On `fresh` rows the noise of both sets of rows counts; on the same rows it is in the forecast and in the outcome.
    """
    most = MOST_STAND_INS if curve.candidate == "linear" else MOST_TRAININGS
    for seen in (size for size in curve.error if size >= FEWEST_ROWS):
        anchors = [min(curve.error, key=lambda size: abs(size - target)) for target in curve_sizes(seen, most)]
        law = fit(np.array(anchors, dtype=float), np.array([[curve.error[size] for size in anchors]]))
        for size in (size for size in curve.error if seen < size <= 1.01 * RED_FLAG * seen):
            forecast = max(float(law.at(np.array([size]))[0, 0]), 1e-3)
            truth = (curve.fresh_error if fresh else curve.error)[size]
            noise = np.sqrt((1 - forecast) / forecast * sum(1 / rows for rows in curve.scored)) if fresh else 0.0
            now = float(law.at(np.array([seen]))[0, 0])
            yield (law.form, curve.candidate, curve.data_set, curve.name, forecast, truth, size / seen, float(noise), now)


def quantile_of(made: list[Prediction]) -> float:
    """The factor q that holds 80 % of the forecasts."""
    forecast, truth, ratio = (np.array([item[place] for item in made]) for place in (4, 5, 6))
    return forecast_quantile(forecast, truth, ratio)


def held(made: list[Prediction], outcomes: list[Prediction]) -> list[tuple[str, bool]]:
    """For each of `outcomes` its curve, and whether the 80 % interval calibrated on `made` of all other data sets held it."""
    found = []
    for left_out in sorted({item[2] for item in outcomes}):
        q = quantile_of([item for item in made if item[2] != left_out])
        for _, _, _, name, forecast, truth, ratio, noise, now in (item for item in outcomes if item[2] == left_out):
            half = np.hypot(q * np.log(ratio), Z80 * noise)
            high = min(forecast * np.exp(half), max(now, forecast) * np.exp(Z80 * noise))  # as `Outlook.error_at`
            found.append((name, bool(forecast * np.exp(-half) <= truth <= high)))
    return found


def groups_of(curves: list[Curve], *, fresh: bool = False) -> dict[tuple[str, str], list[Prediction]]:
    """Forecasts by (form, candidate): each group has a quantile of its own."""
    groups: dict[tuple[str, str], list[Prediction]] = {}
    for curve in curves:
        for item in predictions_of(curve, fresh=fresh):
            groups.setdefault(item[:2], []).append(item)
    return groups


def write_table() -> None:
    """Print the cover on data sets left out, and write the quantiles of all curves into the package."""
    curves, rows = read_curves(), []
    fresh = groups_of(curves, fresh=True)
    for key, made in sorted(groups_of(curves).items()):
        found, again = held(made, made), held(made, fresh[key])
        share = np.mean([inside for _, inside in found])
        by_curve = {name: np.mean([inside for other, inside in found if other == name]) for name, _ in found}
        error = np.mean([abs(item[4] - item[5]) for item in made])
        rows.append([*key, f"{quantile_of(made):.3f}", len(by_curve), len({item[2] for item in made}), len(made)])
        print(
            *rows[-1], f"cover {share:.3f}, on fresh rows {np.mean([inside for _, inside in again]):.3f}, mean absolute error {error:.3f}"
        )
        print("   by curve:", ", ".join(f"{name} {value:.2f}" for name, value in by_curve.items()))
    with QUANTILES.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([["form", "candidate", "quantile", "curves", "data_sets", "predictions"], *rows])


def main() -> None:
    """One of the three parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["linear", "tuned", "table"])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", nargs="*")
    given = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    if given.part == "linear":
        for name in given.only or SETS:
            measure_curve(name, "linear", given.data, linear_point)
    elif given.part == "tuned":
        for name in given.only or TUNED:
            labels = tuple(sorted({example.label or "" for part in parts_of(name, given.data) for example in part}))
            measure_curve(name, "tuned", given.data, tuned_point(labels))
    else:
        collect()
        write_table()


if __name__ == "__main__":
    main()
