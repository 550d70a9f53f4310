"""Data sets of the hub, by name: `hf:owner/name@revision#part`."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from provetune.errors import DataError
from provetune.formats.arrow import TABLES, parts_of

# the branch where the hub keeps every public data set as Parquet
CONVERTED = "refs/convert/parquet"
_NAME = re.compile(r"(?:^|/)hf:(?P<name>[^@#]+)(?:@(?P<revision>[^#]+))?(?:#(?P<part>.+))?$")


@dataclass(frozen=True)
class HubName:
    """A data set of the hub, its revision, and the part (split) of it."""

    name: str
    revision: str | None
    part: str | None


def hub_name(path: Path) -> HubName | None:
    """What `path` names on the hub; None where it is a path.

    >>> hub_name(Path("project/hf:stanfordnlp/imdb@main#train"))
    HubName(name='stanfordnlp/imdb', revision='main', part='train')
    """
    found = _NAME.search(path.as_posix())
    return HubName(found["name"], found["revision"], found["part"]) if found else None


def fetched(wanted: HubName) -> Path:
    """The folder of the data set in the local cache, after its tables have been downloaded.

    Raises DataError where the hub cannot be reached and the cache lacks it, or where it holds no tables.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

    patterns = [f"*{ending}" for ending in (*TABLES, ".jsonl")]
    revisions = [wanted.revision] if wanted.revision else ["main", CONVERTED]
    offline = bool(os.environ.get("HF_HUB_OFFLINE"))
    try:
        for revision in revisions:
            folder = Path(
                snapshot_download(wanted.name, repo_type="dataset", revision=revision, allow_patterns=patterns, local_files_only=offline)
            )
            if parts_of(folder):
                return folder
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, HFValidationError, OSError, ValueError) as error:
        raise DataError(
            f"hf:{wanted.name}: could not be fetched from the hub ({type(error).__name__}); check the name and the network, "
            "or download it and name the folder"
        ) from error
    raise DataError(f"hf:{wanted.name}: found no tables at {' or '.join(revisions)}; name another revision with @")
