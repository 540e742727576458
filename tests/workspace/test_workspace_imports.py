"""A workspace is opened without what makes masks."""

from __future__ import annotations

import ast
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from samples import a_draft, digest_of

import lfss.storage
import lfss.workspace
from lfss.errors import WorkspaceError

ROOT = Path(__file__).parents[2]


def test_neither_torch_nor_gradio_is_imported_for_a_workspace():
    files = [
        file for package in (lfss.workspace, lfss.storage) for file in Path(package.__path__[0]).glob("*.py")
    ]
    assert len(files) > 10
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {n.split(".")[0] for n in names} & {"torch", "gradio", "lightning", "matplotlib"}


def test_a_workspace_opens_without_loading_torch():
    modules = "lfss.workspace, lfss.batch.drafts, lfss.batch.on_ray"
    heavy = "{'torch', 'gradio', 'matplotlib', 'ray'}"
    code = f"import sys, {modules}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "[]\n"


def test_threads_share_a_workspace(workspace):
    def fill(start: int) -> None:
        for n in range(start, start + 10):
            workspace.put_draft(a_draft(n, size=(8, 8)))
            assert workspace.draft(digest_of(n), "dog") is not None

    threads = [threading.Thread(target=fill, args=(10 * k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert workspace.stats().drafts == {"dog": {"proposed": 40}}
    assert workspace.check() == []


def test_a_closed_workspace_says_so(workspace):
    workspace.close()
    with pytest.raises(WorkspaceError, match="has been closed"):
        workspace.stats()
