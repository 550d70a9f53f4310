#!/usr/bin/env bash
# A browser for the tests that drive one. Takes what is there (PROVETUNE_BROWSER, Chromium, Chrome), else installs Chromium:
# as root from the system's packages, else the build that Playwright downloads into the user's cache.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python="${PYTHON:-.venv/bin/python}"

found() {
    "$python" -m tests.browser
}

if path=$(found 2>/dev/null); then
    echo "browser: $path"
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update --quiet=2 || true
    DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends chromium || true
fi
if ! found >/dev/null 2>&1; then
    timeout 600 "$python" -m playwright install chromium || true
fi
path=$(found)
echo "browser: $path"
