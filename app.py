"""The web app: ``python app.py`` and open the address that it prints.

On a Hugging Face Space the same file runs as it is; there, as here, nothing is written outside the
temporary folder unless ``--workspace`` names one.
"""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

from demo.service import Service
from demo.sessions import Sessions


def arguments() -> argparse.Namespace:
    """What was typed after ``python app.py``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--preset", default="mini", help="which model (default: mini)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument("--host", default=None, help="address to listen on (default: this machine alone)")
    parser.add_argument("--port", type=int, default=None, help="port (default: the first free one from 7860)")
    parser.add_argument(
        "--workspace", type=Path, default=None, metavar="DIR", help="keep drafts in this folder (default: a "
        "temporary one for each page)",
    )  # fmt: skip
    parser.add_argument("--models", type=Path, default=None, metavar="DIR", help="folder with weights")
    parser.add_argument("--share", action="store_true", help="a public link through Gradio (default: off)")
    parser.add_argument("--mcp", action="store_true", help="also serve the API to agents; needs gradio[mcp]")
    return parser.parse_args()


def main() -> None:
    """Serve until stopped."""
    chosen = arguments()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    service = Service(chosen.preset, device=chosen.device, models_dir=chosen.models)
    service.start()  # loads while the page is built
    sessions = Sessions(chosen.workspace)
    from demo.page import build, launch_options

    page = build(service, sessions)
    page.queue(default_concurrency_limit=16, max_size=128)
    try:
        page.launch(
            server_name=chosen.host,
            server_port=chosen.port,
            share=chosen.share,
            mcp_server=chosen.mcp,
            **launch_options(),
        )
    finally:
        sessions.close()


if __name__ == "__main__":
    main()
