"""Where a base model's files are: the packaged starter, a folder, or a model of the hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

from provetune.errors import ModelError, SpecError
from provetune.models.card import Card, read_card
from provetune.records.candidate import Method

STARTER = Path(__file__).parent / "starter"
_CARD = ["README.md", "LICEN[CS]E*", "config.json"]
_TOKENIZER = [*_CARD, "*.json", "*.jinja", "tokenizer.model"]
_FILES = [*_TOKENIZER, "*.safetensors"]


def model_folder(name: str, revision: str, project: Path, offline: bool = False) -> Path:
    """Folder with `config.json`, tokenizer and safetensors of the base model called `name`.

    `starter` is the packaged model; a path is tried from the project folder; anything else is a hub id.
    Raises ModelError where nothing is found, or where weights come in another form than safetensors.
    """
    here = local_folder(name, project)
    return _checked(here or _fetched(name, revision, _FILES, offline=offline), name)


def model_card(name: str, revision: str, project: Path, offline: bool = False) -> Card:
    """What the base model says of itself; of a hub model only the card is fetched, never the weights. ModelError as `model_folder`."""
    return read_card(local_folder(name, project) or _fetched(name, revision, _CARD, offline=offline))


def tokenizer_folder(name: str, revision: str, project: Path, offline: bool = False) -> Path:
    """Folder with configuration and tokenizer of the base model; of a hub model without its weights. ModelError as `model_folder`."""
    return local_folder(name, project) or _fetched(name, revision, _TOKENIZER, offline=offline)


def local_folder(name: str, project: Path) -> Path | None:
    """The folder that a base model's name means; None where it is the name of a hub model. ModelError where it can be neither."""
    if name == "starter":
        return STARTER
    for folder in (Path(name).expanduser(), project / name):
        if folder.is_dir():
            return folder.resolve()
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ModelError(
            f"base.model: found {name!r}, which is neither a folder here nor a hub id; wanted `starter`, a folder with config.json, "
            "or `owner/name`. Run `provetune doctor` to see what can be reached"
        )
    return None


def _fetched(name: str, revision: str, patterns: list[str], *, offline: bool) -> Path:
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns, local_files_only=offline))
    except (HfHubHTTPError, RepositoryNotFoundError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise ModelError(
            f"base.model: {name!r} (revision {revision!r}) could not be fetched from the hub ({type(error).__name__}). "
            "Check the name and the network, or name a folder; `base: starter` works offline"
        ) from error


def tuned_folder(project: Path, given: str | None, method: Method) -> Path | None:
    """The tuned weights that `train.start` names: a folder with weights, or a run's or project's champion.

    None without a name, and for a head, whose base stays as it is; SpecError where there are no weights.
    """
    if given is None or method == "head":
        return None
    place = project / given
    for folder in (place, *(place / run / name for run in (".", "runs/latest") for name in ("adapter", "model"))):
        if any(folder.glob("*.safetensors")):
            return folder.resolve()
    raise SpecError(f"train.start: found no tuned weights in {place}; wanted a project with a verdict, a run, or a folder with safetensors")


def _checked(folder: Path, name: str) -> Path:
    if not (folder / "config.json").is_file():
        raise ModelError(f"base.model: {name!r} has no config.json in {folder}; wanted a transformers model folder")
    if not list(folder.glob("*.safetensors")):
        kinds = sorted({item.suffix for item in folder.iterdir() if item.suffix in {".bin", ".pt", ".pth", ".ckpt", ".gguf"}})
        raise ModelError(
            f"base.model: {name!r} has no *.safetensors in {folder} (found {', '.join(kinds) or 'no weights'}); "
            "other forms are not loaded, convert it with transformers' save_pretrained first"
        )
    return folder
