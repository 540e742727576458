#!/usr/bin/env bash
# Everything that has to pass, from a bare clone: style, types, tests. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

[ -x .venv/bin/python ] || "${PYTHON:-python3}" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt

# What a whole run needs beyond Python. Each step may fail: the tests that need it are skipped and say so.
if [ $# -eq 0 ]; then
  # A Chromium for the tests in a browser.
  if ! command -v chromium >/dev/null && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; } \
      >/dev/null 2>&1 || echo "Chromium could not be installed: the tests in a browser will be skipped."
  fi
  # The programs that exports are read with, in an environment of their own (1.1 GB).
  .venv/bin/python tests/roundtrip/make_env.py >/dev/null || true
  # Ray, where the machine has room: 300 MB on the disk and 4 GB of memory.
  if ! .venv/bin/python -c "import ray" 2>/dev/null; then
    if .venv/bin/python -c "import os, shutil, sys
memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
sys.exit(not (shutil.disk_usage('.').free > 1e9 and memory > 4e9))"; then
      .venv/bin/python -m pip install --quiet --disable-pip-version-check 'ray[default]>=2.40' \
        || echo "Ray could not be installed: the tests on a cluster will be skipped."
    else
      echo "This machine has no room for Ray: the tests on a cluster will be skipped."
    fi
  fi
fi

.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
exec .venv/bin/python -m pytest -n 2 --dist loadfile "$@"
