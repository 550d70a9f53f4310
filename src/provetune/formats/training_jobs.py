"""Training jobs of other tools: OpenAI, Axolotl, LLaMA-Factory. What is understood, and what has no counterpart here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from provetune.errors import DataError
from provetune.formats.jsonl import kind, whole_object
from provetune.formats.text import read_text
from provetune.spec import TrainSpec

Settings = Mapping[str, Any]
Readings = dict[str, tuple[str, Callable[[Any], Any]]]
"""Name of a setting elsewhere -> its name under `train`, and how its value is read."""


@dataclass
class Job:
    """What was understood: files, base model, name, settings of `train`; `unmapped` says one thing a line."""

    data: Path
    test: Path | None = None
    name: str | None = None
    base: str | None = None
    train: dict[str, Any] = field(default_factory=dict)
    unmapped: list[str] = field(default_factory=list)


_OPENAI_FACTS = {
    *("object", "id", "created_at", "finished_at", "estimated_finish", "error", "fine_tuned_model", "organization_id", "result_files"),
    *("status", "trained_tokens", "metadata", "usage_metrics", "shared_with_openai", "user_provided_suffix", "eval_id"),
}
"""Keys of a job object that are no settings."""


def read_openai(file: Path, files: Path) -> Job:
    """A fine-tuning job object, a list with one, or the request that made one; its files lie in `files`, named by their ids."""
    job = whole_object(file)
    jobs = job.get("data")
    if job.get("object") == "list" and isinstance(jobs, list):
        if len(jobs) != 1 or not isinstance(jobs[0], dict):
            raise DataError(f"{file}: found a list of {len(jobs)} jobs, wanted one; write the job that you mean to a file of its own")
        job = jobs[0]
    if "training_file" not in job:
        raise DataError(
            f"{file}: found keys {', '.join(job) or 'none'}, wanted a fine-tuning job with 'training_file'; "
            "for a file of examples run `provetune init FILE`"
        )
    found = Job(_file_of(job["training_file"], files, file), name=_text(job.get("user_provided_suffix") or job.get("suffix")))
    if job.get("validation_file"):
        found.test = _file_of(job["validation_file"], files, file)
        found.unmapped.append(
            "validation_file as validation rows: it is the test file here (data.test), on which the verdict rests; "
            "remove data.test to have test rows drawn from the training file"
        )
    method = _mapping(job.get("method"))
    kind_of = str(method.get("type", "supervised"))
    inner = _mapping(method.get(kind_of))
    settings = {**_mapping(job.get("hyperparameters")), **_mapping(inner.get("hyperparameters"))}
    if kind_of != "supervised":
        found.unmapped.append(f"method {kind_of}: this version learns the preferred answers only, as supervised examples")
    _take(found, settings, {"n_epochs": ("epochs", _whole), "batch_size": ("batch_size", _whole)}, "hyperparameters.")
    _take(found, {"seed": job.get("seed")}, _SHARED)
    if job.get("model"):
        found.unmapped.append(f"model {job['model']}: its weights are not for download; choose a base with --base")
    known = {"training_file", "validation_file", "hyperparameters", "method", "seed", "model", "suffix", *_OPENAI_FACTS}
    found.unmapped += [f"{key}: has no counterpart" for key, value in job.items() if key not in known and value]
    return found


def _file_of(name: Any, files: Path, job: Path) -> Path:
    """The file with this id (and any ending) or name in the folder."""
    if not isinstance(name, str) or not name or "/" in name or "\\" in name:
        raise DataError(f"{job}: found {kind(name)} as the name of a file, wanted an id such as file-abc123")
    if not files.is_dir():
        raise DataError(f"{files}: found no such folder, wanted the one with the file {name!r}; name it with --files DIR")
    matches = sorted(path for path in files.iterdir() if path.is_file() and (path.name == name or path.name.startswith(f"{name}.")))
    if len(matches) != 1:
        raise DataError(f"{files}: found {len(matches)} files for {name!r} of {job.name}, wanted one, {name}.jsonl; put it there")
    return matches[0]


def read_axolotl(file: Path, files: Path) -> Job:
    """A configuration of Axolotl; a local data file is named from its folder or from `files`."""
    config = _yaml(file)
    sets = config.get("datasets")
    if not isinstance(sets, list) or len(sets) != 1 or not isinstance(sets[0], dict) or not sets[0].get("path"):
        raise DataError(f"{file}: 'datasets' holds {len(sets) if isinstance(sets, list) else 'no'} entries, wanted one with a 'path'")
    found = Job(_data_path(str(sets[0]["path"]), file.parent, files), base=_text(config.get("base_model")))
    found.unmapped += [
        f"datasets.{key} {value!r}: the format is found by looking at the file" for key, value in sets[0].items() if key != "path"
    ]
    adapter = config.get("adapter")
    if adapter in ("lora", None):
        found.train["method"] = adapter or "full"
    else:
        found.unmapped.append(f"adapter {adapter}: not available in this version")
    settings = {key: value for key, value in config.items() if key not in ("datasets", "base_model", "adapter")}
    _take(found, _joined_batch(settings, "micro_batch_size"), _AXOLOTL)
    return found


def read_llama_factory(file: Path, files: Path) -> Job:
    """A training configuration of LLaMA-Factory; its data file is found through `dataset_info.json` in `dataset_dir` or `files`."""
    config = _yaml(file)
    sets = [name.strip() for name in str(config.get("dataset") or "").split(",") if name.strip()]
    if len(sets) != 1:
        raise DataError(f"{file}: 'dataset' names {len(sets)} data sets, wanted one")
    folders = [file.parent / str(config.get("dataset_dir") or "data"), files, Path(str(config.get("dataset_dir") or "data"))]
    listing = next((folder / "dataset_info.json" for folder in folders if (folder / "dataset_info.json").is_file()), None)
    if listing is None:
        raise DataError(f"{file}: found no dataset_info.json, wanted the list of data sets; name its folder with --files DIR")
    entry = whole_object(listing).get(sets[0])
    if not isinstance(entry, dict) or not (entry.get("file_name") or entry.get("hf_hub_url")):
        raise DataError(f"{listing}: found no file for {sets[0]!r}, wanted 'file_name' or 'hf_hub_url'")
    name = entry.get("file_name")
    found = Job(_data_path(str(name), listing.parent, files) if name else Path(f"hf:{entry['hf_hub_url']}"))
    found.base = _text(config.get("model_name_or_path"))
    found.unmapped += [
        f"{sets[0]}.{key}: the format is found by looking at the file" for key in entry if key not in ("file_name", "hf_hub_url")
    ]
    left = {key: value for key, value in config.items() if key not in ("dataset", "dataset_dir", "model_name_or_path", "do_train")}
    _take(found, _joined_batch(left, "per_device_train_batch_size"), _LLAMA_FACTORY)
    return found


def _yaml(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(read_text(file))
    except (yaml.YAMLError, RecursionError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        raise DataError(f"{file}:{line}: not YAML: {' '.join(str(error).split())[:200]}; mend it there") from None
    return _mapping(content)


def _data_path(name: str, *folders: Path) -> Path:
    """A data file below one of the folders, or a name on the hub."""
    local = next((folder / name for folder in folders if (folder / name).exists()), None)
    if local is not None:
        return local
    if name.count("/") == 1 and not Path(name).suffix:
        return Path(f"hf:{name}")
    raise DataError(f"{folders[0] / name}: found no such file, wanted the data of the job; name its folder with --files DIR")


def _joined_batch(settings: Settings, per_device: str) -> dict[str, Any]:
    """The settings with rows per optimizer step (on one device) as `batch`."""
    found = dict(settings)
    rows, steps = found.pop(per_device, None), found.pop("gradient_accumulation_steps", 1)
    if rows is not None:
        found["batch"] = _whole(rows) * _whole(steps)
    return found


def _take(job: Job, settings: Settings, names: Readings, prefix: str = "") -> None:
    """Put the settings that have a counterpart into `job.train`; list the others."""
    for key, value in settings.items():
        if value is None or value == "auto":
            continue
        if key not in names:
            job.unmapped.append(f"{prefix}{key} {value!r}: has no counterpart")
            continue
        wanted, read = names[key]
        section, _, inner = wanted.partition(".")
        try:
            taken = read(value)
            setting: Any = {inner: taken} if inner else [taken] if section == "seeds" else taken
            TrainSpec.model_validate({section: setting})
        except (TypeError, ValueError):  # pydantic's ValidationError is one
            job.unmapped.append(f"{prefix}{key} {value!r}: cannot be taken over")
            continue
        job.train[section] = {**job.train.get(section, {}), **setting} if inner else setting


def _whole(value: Any) -> int:
    if isinstance(value, bool) or float(value) != int(float(value)):
        raise ValueError
    return int(float(value))


def _all_linear(value: Any) -> str:
    if value is not True:
        raise ValueError
    return "all-linear"


def _module_names(value: Any) -> str:
    names = value if isinstance(value, list) else str(value).split(",")
    return "all-linear" if names in (["all"], ["all-linear"]) else ",".join(str(name).strip() for name in names)


def _tuning_type(value: Any) -> str:
    if value not in ("lora", "full"):
        raise ValueError
    return str(value)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


_SHARED: Readings = {
    "learning_rate": ("learning_rate", float),
    "seed": ("seeds", _whole),
    "batch": ("batch_size", _whole),
    "lora_alpha": ("lora.alpha", _whole),
    "lora_dropout": ("lora.dropout", float),
}
_AXOLOTL: Readings = {
    **_SHARED,
    "num_epochs": ("epochs", _whole),
    "sequence_len": ("max_length", _whole),
    "lora_r": ("lora.r", _whole),
    "lora_target_linear": ("lora.targets", _all_linear),
    "lora_target_modules": ("lora.targets", _module_names),
}
_LLAMA_FACTORY: Readings = {
    **_SHARED,
    "num_train_epochs": ("epochs", _whole),
    "cutoff_len": ("max_length", _whole),
    "lora_rank": ("lora.r", _whole),
    "lora_target": ("lora.targets", _module_names),
    "finetuning_type": ("method", _tuning_type),
}
TOOLS: dict[str, Callable[[Path, Path], Job]] = {"openai": read_openai, "axolotl": read_axolotl, "llama-factory": read_llama_factory}
"""Tool -> reader of its job."""
