"""Kill it, feed it hostile input, fill its memory, crowd it, and count what goes wrong.

    python -m tests.reliability                        # all parts, into docs/results
    python -m tests.reliability kills --kills 100      # one part, with more kills of each operation

Each part writes docs/results/reliability-PART.json, from which docs/reliability.md is filled
(``python -m train.tables``). Linux only: children are forked, and memory is read from /proc.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # set before torch: threads do not survive a fork
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
sys.path.insert(0, str(Path(__file__).parents[1]))  # as pytest does for the modules of tests

from demo.memory import DEFAULT_GB
from tests.reliability import endings, hostile, kills, visitors

# Each yields what it has found so far, again and again: a part that is stopped has lost nothing of that.
PARTS: dict[str, Callable[[Path, argparse.Namespace], Iterator[dict[str, Any]]]] = {
    "kills": kills.measure,
    "hostile": hostile.measure,
    "memory": visitors.memory,
    "clients": visitors.clients,
    "endings": endings.measure,
}


def main() -> int:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.reliability", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("part", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all)")
    parser.add_argument("--kills", type=int, default=30, help="of each operation (default: 30)")
    parser.add_argument(
        "--changed", type=int, default=12, help="copies with changed bytes of each file (default: 12)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments and of the changed bytes")
    parser.add_argument(
        "--memory",
        type=float,
        nargs="+",
        default=[DEFAULT_GB],
        help="GB that the app may take, one after the other (default: the app's own)",
    )
    parser.add_argument("--clients", type=int, default=16, help="at once (default: 16)")
    parser.add_argument("--calls", type=int, default=6, help="of each client (default: 6)")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)  # before the minutes that a part takes
    for name in options.part or PARTS:
        if name not in PARTS:
            parser.error(f"there is no part '{name}'. Known: {', '.join(PARTS)}.")
        started, text = time.monotonic(), ""
        command = " ".join(["python -m tests.reliability", *sys.argv[1:]])
        with tempfile.TemporaryDirectory(prefix="lfss-reliability-") as folder:
            for found in PARTS[name](Path(folder), options):
                document = {"command": command, "seconds": round(time.monotonic() - started), **found}
                text = json.dumps(document, indent=1) + "\n"
                (options.out / f"reliability-{name}.json").write_text(text, encoding="utf-8")
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
