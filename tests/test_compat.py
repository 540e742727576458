"""torchvision beside a torch that it was built for, and beside another: operators, once declared, stay."""

import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from lfss import compat
from lfss.compat import ensure_torchvision
from lfss.errors import LfssError

ROOT = Path(__file__).resolve().parents[1]

MATCHING = "answer = 42\n"
# What the real one does beside a torch that it was not built for.
MISMATCHED = """
import sys
from torchvision import half
import torch
for name in ("nms", "qnms"):
    torch.library.register_fake("torchvision::" + name)(lambda *a: None)
"""


# In one interpreter, in this order, since PyTorch takes seconds to import.
CASES = """
import sys
matching, mismatched = sys.argv[1:]

import lfss.weights, lfss.encoders.vlm, lfss.encoders.backbone
heavy = {"timm", "open_clip", "torchvision", "huggingface_hub"} & set(sys.modules)
assert not heavy, f"the encoders import {heavy}"

from lfss import compat
sys.path.insert(0, matching)
compat.ensure_torchvision()
import torch, torchvision
first = torchvision
compat.ensure_torchvision()
assert sys.modules["torchvision"] is first and first.answer == 42, "a matching pair is not left as it is"
assert not compat._declared and not hasattr(torch.ops.torchvision, "nms"), "declared without need"

sys.path[0] = mismatched
for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
    del sys.modules[name]
try:
    import torchvision
except RuntimeError as error:
    assert "torchvision::nms does not exist" in str(error), error
else:
    raise SystemExit("the fake does not fail")
compat.ensure_torchvision()
compat.ensure_torchvision()
import torchvision
assert torchvision.__file__.startswith(mismatched)
assert torch.ops.torchvision.nms and torch.ops.torchvision.qnms, "not imported with its operators declared"
assert len(compat._declared) == 1, "declared twice"
"""


def test_torchvision_is_imported_when_needed_and_again_with_its_operators_where_it_does_not_match(tmp_path):
    for name, text in (("matching", MATCHING), ("mismatched", MISMATCHED)):
        package = tmp_path / name / "torchvision"
        package.mkdir(parents=True)
        (package / "half.py").touch()
        (package / "__init__.py").write_text(text)
    command = [sys.executable, "-c", CASES, str(tmp_path / "matching"), str(tmp_path / "mismatched")]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def failing(monkeypatch):
    """Make ``import torchvision`` raise an error, in this interpreter."""

    def fail(error: Exception) -> None:
        class Finder:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] == "torchvision":
                    raise error

        for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])

    return fail


HALF_MADE = """
import torchvision.half
torchvision.half  # as the real one asks of its submodules
from lfss import compat
if not compat._declared:
    raise RuntimeError("operator torchvision::nms does not exist")
"""


def test_what_a_failed_import_leaves_behind_is_removed_before_the_next(tmp_path, monkeypatch):
    """A submodule that is there already would not become an attribute of the package again."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "half.py").touch()
    (tmp_path / "torchvision" / "__init__.py").write_text(HALF_MADE)
    for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"] + ["torchvision.half"]:
        monkeypatch.setitem(sys.modules, name, None)
        del sys.modules[name]
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(compat, "_declared", [])
    monkeypatch.setattr(torch, "library", Mock())
    ensure_torchvision()
    assert sys.modules["torchvision"].half is sys.modules["torchvision.half"]
    assert "lfss.compat" in sys.modules, "nothing else is removed"


def test_an_absent_torchvision_gives_one_clear_sentence(failing):
    failing(ModuleNotFoundError("No module named 'torchvision'", name="torchvision"))
    with pytest.raises(LfssError, match=r"torchvision is not installed.*pip install -r requirements"):
        ensure_torchvision()


@pytest.mark.parametrize(
    "error", [RuntimeError("something else is wrong"), ModuleNotFoundError("No module", name="PIL")]
)
def test_any_other_failure_is_passed_on(failing, error):
    failing(error)
    with pytest.raises(type(error)) as caught:
        ensure_torchvision()
    assert caught.value is error


def test_timm_and_open_clip_import_in_this_environment():
    ensure_torchvision()
    import open_clip
    import timm

    assert timm.list_models("resnet50")
    assert "RN50-quickgelu" in open_clip.list_models()
