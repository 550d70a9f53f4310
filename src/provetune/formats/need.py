"""Libraries of the extra `data`: asked for only where a file needs them."""

from __future__ import annotations

import importlib.util

from provetune.errors import DataError


def need(library: str, what: str) -> None:
    """DataError with the command that installs `library` where it is missing; `what` needs it."""
    if importlib.util.find_spec(library) is None:
        raise DataError(f"{what} needs {library}, which is not installed; run `pip install 'provetune[data]'`")
