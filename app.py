"""The web app: ``python app.py`` and open the address that it prints.

Nothing is written outside the temporary folder unless ``--workspace`` names one; matplotlib keeps its
list of fonts where it always does. On a Hugging Face Space the same file runs as it is, and that list goes
to the temporary folder too.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
if "SPACE_ID" in os.environ:
    os.environ.setdefault("MPLCONFIGDIR", tempfile.mkdtemp(prefix="lfss-fonts-"))

from demo.gpu import ON_ZEROGPU, device_for
from demo.memory import DEFAULT_GB, LEAST_GB, PICTURES, pictures_budget
from demo.service import Service
from demo.sessions import Sessions
from demo.zip_names import checked_encoding
from lfss.errors import LfssError
from lfss.stopping import stopped_like_ctrl_c

EXAMPLES = """examples:
  python app.py                          the app with mini, at http://127.0.0.1:7860
  python app.py --workspace dogs         drafts are kept in the folder dogs
  python app.py --host 0.0.0.0 --port 8000   for everybody in the network
  python app.py --mcp                    also tools for assistants, at /gradio_api/mcp/
"""


def arguments(typed: Sequence[str] | None = None) -> argparse.Namespace:
    """What was typed after ``python app.py``; ends the program with one sentence where it cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python app.py",
        description="The web app: type a label, drop in a few photos, get masks, see why, correct, export.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--preset",
        default="mini",
        metavar="NAME",
        help="which model; the About tab lists them (default: mini)",
    )
    add("--method", default="lfss", metavar="NAME", help="how it segments (default: lfss)")
    add("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    add("--models", type=Path, metavar="DIR", help="folder with weights that were put there by hand")
    add("--workspace", type=Path, metavar="DIR", help="keep drafts in this folder (default: a temporary one "
        "for each page, removed six hours after its last use)")  # fmt: skip
    add("--host", metavar="ADDRESS", help="address to listen on (default: this machine alone)")
    add("--port", type=int, metavar="N", help="port (default: the first free one from 7860)")
    add("--memory", type=float, default=DEFAULT_GB, metavar="GB", help="memory that the app may take: "
        "pictures wait for each other, and what is larger is refused (default: %(default)g)")  # fmt: skip
    add("--zip-encoding", default="", metavar="NAME", help="how names in zips are written that do not tell: "
        "gbk (Chinese Windows), cp932 (Japanese), cp949 (Korean) ...; UTF-8 is known without it")  # fmt: skip
    add("--share", action="store_true", help="also a public link through Gradio's servers")
    add("--mcp", action="store_true", help="also serve /prepare_class, /segment and /export as tools for "
        "AI assistants (MCP)")  # fmt: skip
    chosen = parser.parse_args(typed)
    if chosen.port is not None and not 0 < chosen.port < 65536:
        parser.error(f"a port lies between 1 and 65535; {chosen.port} came.")
    if not LEAST_GB <= chosen.memory < 1e6:
        parser.error(f"--memory is a number of gigabytes from {LEAST_GB:g}; {chosen.memory:g} was given.")
    try:
        chosen.zip_encoding = chosen.zip_encoding and checked_encoding(chosen.zip_encoding)
    except LfssError as error:
        parser.error(f"--zip-encoding: {error}")
    return chosen


def main() -> int:
    """Serve until stopped; the exit status is 2 where the app cannot start as asked."""
    chosen = arguments()
    with stopped_like_ctrl_c():
        return serve(chosen)


def serve(chosen: argparse.Namespace) -> int:
    """Build the page and serve it; what visitors sent is removed when that ends, however it ends."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    PICTURES.size = pictures_budget(chosen.memory)
    device = device_for(chosen.preset, chosen.device)
    service = Service(chosen.preset, method=chosen.method, device=device, models_dir=chosen.models)
    try:
        sessions = Sessions(chosen.workspace, zip_encoding=chosen.zip_encoding)
    except LfssError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        with uploads_in(sessions.uploads):
            launch(chosen, service, sessions)
    except OSError as error:  # the port is taken, or the address is not of this machine
        print(f"The app cannot listen there. {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    finally:
        sessions.close()
    return 0


def launch(chosen: argparse.Namespace, service: Service, sessions: Sessions) -> None:
    """Build the page and serve it until stopped."""
    from demo.page import build, launch_options

    page = build(service, sessions, mcp=chosen.mcp)
    page.queue(default_concurrency_limit=16, max_size=128)
    if ON_ZEROGPU:
        service.wait()  # weights must be in place before a GPU is lent
    page.launch(
        server_name=chosen.host,
        server_port=chosen.port,
        share=chosen.share,
        prevent_thread_lock=True,
        **launch_options(),
    )
    service.start()  # not before: what it imports would hold up the first page
    page.block_thread()


@contextmanager
def uploads_in(folder: Path) -> Iterator[None]:
    """Let Gradio keep uploads in a folder that goes with the sessions, unless the environment says where."""
    if "GRADIO_TEMP_DIR" in os.environ:
        yield
        return
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    try:
        yield
    finally:
        del os.environ["GRADIO_TEMP_DIR"]


if __name__ == "__main__":
    sys.exit(main())
