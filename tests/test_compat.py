"""Each case needs an interpreter of its own: operators, once declared, stay."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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


def run(code: str, folder: Path) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(folder), str(ROOT)))}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def fake(tmp_path):
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "half.py").write_text("")

    def write(text: str) -> Path:
        (package / "__init__.py").write_text(text)
        return tmp_path

    return write


def test_a_matching_pair_is_left_untouched(fake):
    code = """
from lfss import compat
compat.ensure_torchvision()
import torch, torchvision
first = torchvision
compat.ensure_torchvision()
assert sys.modules["torchvision"] is first and first.answer == 42
assert not compat._declared
assert not hasattr(torch.ops.torchvision, "nms")
"""
    result = run("import sys\n" + code, fake(MATCHING))
    assert result.returncode == 0, result.stderr


def test_a_mismatched_pair_is_imported_again_with_its_operators_declared(fake):
    code = """
try:
    import torchvision
except RuntimeError as error:
    assert "torchvision::nms does not exist" in str(error), error
else:
    raise SystemExit("the fake does not fail")
from lfss import compat
compat.ensure_torchvision()
compat.ensure_torchvision()
import torch, torchvision
assert torch.ops.torchvision.nms and torch.ops.torchvision.qnms
assert len(compat._declared) == 1
"""
    result = run(code, fake(MISMATCHED))
    assert result.returncode == 0, result.stderr


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


def test_importing_the_encoders_does_not_import_the_heavy_packages():
    code = """
import sys
import lfss.weights, lfss.encoders.vlm, lfss.encoders.backbone
heavy = {"timm", "open_clip", "torchvision", "huggingface_hub"} & set(sys.modules)
assert not heavy, heavy
"""
    result = run(code, ROOT)
    assert result.returncode == 0, result.stderr
