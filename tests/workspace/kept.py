"""What tests of workspaces share."""

from __future__ import annotations

from lfss.workspace import Workspace


def reopened(workspace: Workspace) -> Workspace:
    workspace.close()
    return Workspace.open(workspace.folder, create=False)


def add_labels(workspace: Workspace, *names: str) -> None:
    for name in names:
        workspace.add_label(name)


def same(one, other) -> bool:
    """Whether two drafts agree in every field."""
    fields = [f for f in one.__dataclass_fields__ if f != "mask"]
    return (one.mask == other.mask).all() and all(getattr(one, f) == getattr(other, f) for f in fields)
