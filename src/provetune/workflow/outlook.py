"""`plan`: the table of methods and GPUs for a project, or for a base model and a number of rows; quick, without torch.

Nothing is trained, no test row is opened, nothing is written.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from provetune.errors import DataError, ModelError, SpecError
from provetune.models.shapes import read_config, shape_sizes
from provetune.planning.architectures import known_shape
from provetune.planning.gpus import gpus, named
from provetune.planning.here import here
from provetune.planning.outlook import METHODS, Question, outlook
from provetune.planning.request import ModelShape, PlanRequest
from provetune.planning.validate import validate as validate
from provetune.pricing import current_prices, load_prices
from provetune.records.candidate import Method, ModelRef
from provetune.records.planning import CostPlan
from provetune.spec import BudgetSpec, ProjectSpec, SplitSpec, TrainSpec
from provetune.spec.text import SPEC_FILE, load_spec
from provetune.split import part_sizes

if TYPE_CHECKING:
    from provetune.records.data import Example

T = TypeVar("T")
COUNTED_ROWS = 2_000
"""Rows whose tokens are counted; of more rows an even part, and the longest."""
LETTERS_PER_TOKEN = 3.5
"""Where the base's tokenizer is not at hand: letters of a token, at the low end of what texts have."""
ANSWER_SHARE = 0.2
"""Of a row's tokens those of the answer, where only a number of tokens is given."""


@dataclass(frozen=True)
class Wish:
    """Options of `plan`; None where not given. `rows` and `tokens` take the place of a project's rows."""

    gpu: str | None = None
    gpus: int = 1
    method: str | None = None
    prices: Path | None = None
    base: str | None = None
    rows: int | None = None
    tokens: int | None = None
    longest: int | None = None
    test_rows: int | None = None


@dataclass(frozen=True)
class _Base:
    model: ModelRef
    shape: ModelShape
    folder: Path | None
    said: str


@dataclass(frozen=True)
class _Rows:
    """Tokens of each training row, rows of (test, validation), mean tokens of an answer, how they were counted."""

    lengths: Sequence[int]
    test: int
    validation: int
    answer: float
    said: str


def plan_outlook(folder: Path, overrides: Sequence[str], wish: Wish) -> CostPlan:
    """The table for the project in `folder`, or, with `rows` and `tokens`, for rows that are not there yet.

    Raises SpecError on options that do not go together or an unknown GPU, DataError without rows, ModelError on an unknown base.
    """
    given = wish.rows is not None or wish.tokens is not None
    spec = None if given and not (folder / SPEC_FILE).is_file() else load_spec(folder / SPEC_FILE, overrides)
    name = wish.base or (spec.base.model if spec is not None else None)
    if name is None:
        raise SpecError("--base: found none, wanted the base model of the plan, such as Qwen/Qwen3-0.6B")
    base = _base(name, spec.base.revision if spec is not None else "main", folder)
    hardware, own_gpu = here()
    rows = _given_rows(wish) if given or spec is None else _own_rows(spec, folder, base)
    request = PlanRequest(
        model=base.model,
        shape=base.shape,
        train=spec.train if spec is not None else TrainSpec(),
        budget=spec.budget if spec is not None else BudgetSpec(),
        row_lengths=rows.lengths,
        test_rows=rows.test,
        hardware=hardware,
    )
    return outlook(
        Question(
            request=request,
            gpus=named(wish.gpu) if wish.gpu is not None else gpus(),
            prices=load_prices(wish.prices) if wish.prices is not None else current_prices(),
            said=(base.said, rows.said),
            scored_rows=rows.test + rows.validation,
            answer_tokens=rows.answer,
            today=datetime.now(UTC).date(),
            methods=_methods(wish.method),
            count=wish.gpus,
            project=not given,
            own_gpu=own_gpu,
        )
    )


def renew_prices(catalogues: Sequence[str]) -> str:
    """Fetch the prices of today into the user's cache, and say what came."""
    from provetune.pricing.refresh import refresh

    file, kept, refused = refresh(catalogues, datetime.now(UTC).date())
    return f"{kept:,} prices of today in {file}" + (f"; {refused:,} rows refused as implausible" if refused else "")


def _methods(name: str | None) -> tuple[Method, ...]:
    if name is None:
        return METHODS
    found = next((method for method in METHODS if method == name), None)
    if found is None:
        raise SpecError(f"--method: found {name!r}, wanted one of {', '.join(METHODS)}")
    return (found,)


def _base(name: str, revision: str, project: Path) -> _Base:
    """The base's sizes: from its config.json in a folder or the hub's cache, else from the table of common ones, else from the hub."""
    folder = _folder(name, project)
    if folder is not None:
        config, said = read_config(folder), f"config.json in {folder.name}"
    else:
        table = known_shape(name)
        if table is not None:
            shape, length = table
            return _Base(_ref(name, revision, shape.parameters, length), shape, None, "the table of common architectures")
        config, said = read_config(_fetched(name, revision)), "config.json of the hub"
    shape = ModelShape(**shape_sizes(config, name))
    length = int(config.get("max_position_embeddings") or config.get("n_positions") or 2048)
    return _Base(_ref(name, revision, shape.parameters, length), shape, folder, said)


def _ref(name: str, revision: str, parameters: int, length: int) -> ModelRef:
    return ModelRef(name=name, revision=revision, parameters=parameters, context_length=length, weights_sha256="", template="")


def _folder(name: str, project: Path) -> Path | None:
    if name == "starter":
        import provetune.models as models

        return Path(models.__file__).parent / "starter"
    for folder in (Path(name).expanduser(), project / name):
        if folder.is_dir():
            return folder.resolve()
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        if known_shape(name) is not None:
            return None
        raise ModelError(
            f"base: found {name!r}, which is neither a folder here nor a hub id; wanted `starter`, a folder with config.json, or owner/name"
        )
    snapshots = _hub_cache() / f"models--{name.replace('/', '--')}" / "snapshots"
    return next((file.parent for file in sorted(snapshots.glob("*/config.json"), reverse=True)), None)


def _hub_cache() -> Path:
    """Where huggingface_hub keeps what it fetched; importing it to ask takes longer than the plan."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()


def _fetched(name: str, revision: str) -> Path:
    """The folder with config.json alone, from the hub; ModelError where it cannot be had."""
    from huggingface_hub import hf_hub_download

    try:
        if os.environ.get("HF_HUB_OFFLINE"):
            raise OSError("offline")
        return Path(hf_hub_download(name, "config.json", revision=revision)).parent
    except Exception as error:  # the hub's client raises many kinds, all of which mean that it cannot be had
        raise ModelError(
            f"base: the sizes of {name!r} are unknown: it is in no folder here, not in the table, and config.json could "
            f"not be fetched ({type(error).__name__}). Name a folder with its config.json"
        ) from error


def _given_rows(wish: Wish) -> _Rows:
    rows, tokens = wish.rows, wish.tokens
    if rows is None or tokens is None:
        raise SpecError(
            f"--{'tokens' if tokens is None else 'rows'}: found none, wanted both: --rows N --tokens T (tokens of a row on average)"
        )
    if rows < 1 or tokens < 1:
        raise DataError(f"found --rows {rows} and --tokens {tokens}; wanted at least 1 of each: nothing can be planned for no rows")
    test, validation = part_sizes(max(rows, 10), SplitSpec(), test_given=False)[2:0:-1]
    test = test if wish.test_rows is None else wish.test_rows
    longest = max(wish.longest or tokens, tokens)
    rest = tokens if rows == 1 else max(1, round((rows * tokens - longest) / (rows - 1)))
    said = f"given: {rows:,} training rows of {tokens:,} tokens on average, the longest {longest:,}"
    return _Rows([longest, *[rest] * (rows - 1)], test, validation, ANSWER_SHARE * tokens, said)


def _own_rows(spec: ProjectSpec, folder: Path, base: _Base) -> _Rows:
    """Tokens of the project's rows; those of training are an even part of all, the longest included."""
    from provetune.load import load  # what reads rows takes a third of the time of a plan without any

    examples = load(folder / spec.data.path, spec.data, spec.task)
    if not examples:
        raise DataError(f"{spec.data.path}: no rows are left to plan for; see `provetune audit`")
    given = None if spec.data.test is None else len(load(folder / spec.data.test, spec.data, spec.task))
    train, validation, test = part_sizes(len(examples), spec.data.split, test_given=given is not None)
    counted = _spread_out(sorted(examples, key=_letters), COUNTED_ROWS)
    lengths, answers, said = _lengths(counted, base)
    if len(counted) < len(examples):
        said += f", of {len(counted):,} of {len(examples):,} rows and the longest of all"
    return _Rows(_spread_out(sorted(lengths), train), test if given is None else given, validation, answers, said)


def _lengths(examples: Sequence[Example], base: _Base) -> tuple[list[int], float, str]:
    """(tokens of each row, mean tokens of the targets, how they were counted)."""
    from provetune.models.plain import PlainTokenizer

    share = sum(len(one.target) for one in examples) / max(1, sum(map(_letters, examples)))
    if base.folder is not None:
        try:
            counts = PlainTokenizer(base.folder).counts([one.messages for one in examples])
            return counts, share * sum(counts) / len(counts), "tokens of your rows under the base's own tokenizer and template"
        except ModelError as error:
            if (base.folder / "tokenizer.json").is_file():
                raise
            reason = str(error)
    else:
        reason = "the base's tokenizer is not on this machine"
    counts = [8 * len(one.messages) + round(_letters(one) / LETTERS_PER_TOKEN) for one in examples]
    said = f"guessed from letters ({LETTERS_PER_TOKEN:g} a token), as {reason}"
    return counts, share * sum(counts) / len(counts), said


def _letters(example: Example) -> int:
    return sum(len(message.text) for message in example.messages)


def _spread_out(ordered: Sequence[T], count: int) -> list[T]:
    """`count` of the values (more where there are fewer), evenly spread, the first and last among them.

    >>> _spread_out([1, 2, 3, 4, 5], 3), _spread_out([1, 9], 4)
    ([1, 3, 5], [1, 1, 9, 9])
    """
    if count == 1:
        return [ordered[-1]]
    return [ordered[round(place * (len(ordered) - 1) / (count - 1))] for place in range(count)]
