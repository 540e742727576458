"""From the start of the program to its first page, beside a page of Gradio's own with one button.

    python -m tests.browser.start --rounds 5

Both are started in turns, so that what else the machine does falls on both; the page is there when a request
for it is answered. The ratio of the medians is what the app costs over Gradio itself. Processor time until
then depends less on what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np

ROOT = Path(__file__).parents[2]
BARE = """
import sys
import gradio as gr
with gr.Blocks(analytics_enabled=False) as page:
    gr.Button("Run")
page.launch(server_port=int(sys.argv[1]), quiet=True, ssr_mode=False, _frontend=False)
"""
PATIENCE = 120  # seconds


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def seconds(command: list[str], port: int, log: Path) -> tuple[float, float]:
    """From the start of a command to its first page, and of the processor; it is ended then.

    Raises:
        SystemExit: no page came.
    """
    with log.open("w") as out:
        start = time.monotonic()
        program = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out, env=quiet())
        try:
            while time.monotonic() - start < PATIENCE and program.poll() is None:
                try:
                    if httpx.get(f"http://127.0.0.1:{port}/", timeout=PATIENCE).status_code == 200:
                        return time.monotonic() - start, processor(program.pid)
                except httpx.TransportError:
                    time.sleep(0.02)
        finally:
            program.send_signal(signal.SIGINT)
            program.wait(PATIENCE)
    raise SystemExit(f"No page came from {command[:3]}.\n{log.read_text()}")


def processor(pid: int) -> float:
    """Seconds of the processor that a program has taken so far; Linux only."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def quiet() -> dict[str, str]:
    """The environment of both programs: nothing is fetched or sent."""
    return {**os.environ, "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="starts of each (default: 5)")
    chosen = parser.parse_args()
    times: dict[str, list[tuple[float, float]]] = {"gradio": [], "app": []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(chosen.rounds):
            for name, found in times.items():
                port = free_port()
                bare, app = (
                    [sys.executable, "-c", BARE, str(port)],
                    [sys.executable, "app.py", "--port", str(port)],
                )
                found.append(seconds(bare if name == "gradio" else app, port, Path(folder, name)))
    told: dict[str, object] = {}
    for number, what in enumerate(("seconds to the first page", "seconds of the processor")):
        medians = {
            n: round(float(np.median([one[number] for one in found])), 2) for n, found in times.items()
        }
        told[f"{what}, medians"] = medians
        told[f"{what}, ratio"] = round(medians["app"] / medians["gradio"], 2)
    told |= {"all": times, "machine": {"cores": os.cpu_count(), "load": os.getloadavg()[0]}}
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
