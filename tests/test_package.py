"""The wheel: what is in it, and that it works where there is no clone."""

from __future__ import annotations

import email
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import lfss
from tests.fakes import scene

pytest.importorskip("hatchling", reason="hatchling builds the wheel: pip install -r requirements-dev.txt")

ROOT = Path(__file__).resolve().parents[1]


def run(*command: object, cwd: Path, **environment: str) -> str:
    """Standard output of a program; fails with all that it printed if the program fails."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LFSS", "PYTHON"))}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=kept | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the clone with what is installed: nothing is fetched."""
    out = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps")
    run(*pip, "--no-build-isolation", "--no-index", "--wheel-dir", out, ROOT, cwd=out)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def site(wheel: Path) -> Path:
    """A folder with the installed package alone; its dependencies are found where they are installed."""
    folder = wheel.parent / "site"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps")
    run(*pip, "--no-index", "--target", folder, wheel, cwd=wheel.parent)
    return folder


def test_the_wheel_holds_every_module_and_every_shipped_file(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / "lfss").rglob("*.py"):
        assert path.relative_to(ROOT).as_posix() in names
    for path in (ROOT / "assets").rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            assert f"lfss/{path.relative_to(ROOT).as_posix()}" in names
    assert "lfss/py.typed" in names


def test_the_wheel_puts_one_package_beside_other_peoples_modules(wheel):
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert tops == {"lfss", f"lfss_studio-{lfss.__version__}.dist-info"}


def test_the_metadata_says_what_it_is_and_whom_nobody_has_to_guess(wheel):
    archive = zipfile.ZipFile(wheel)
    (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
    about = email.message_from_bytes(archive.read(name))
    assert about["Name"] == "lfss-studio"
    assert about["Version"] == lfss.__version__
    assert about["License-Expression"] == "Apache-2.0"
    assert about["Author"] == "LFSS Studio contributors"
    assert set(about.get_all("Provides-Extra")) == {"app", "heic", "scale", "supervision", "train"}
    assert not any(r.startswith("gradio") and "extra" not in r for r in about.get_all("Requires-Dist"))


def test_an_installed_package_segments_from_another_folder(site, tmp_path):
    for name in ("support", "query"):
        PIL.Image.fromarray(scene("brown", ground="green", seed=len(name))).save(tmp_path / f"{name}.png")
    out = run(
        sys.executable, site / "bin" / "lfss", "segment", "--label", "dog", "--support", "support.png",
        "--box", "support.png=80,60,220,180", "--query", "query.png", "--out", "masks", "--assume-present",
        cwd=tmp_path, PYTHONPATH=str(site),
    )  # fmt: skip
    assert "1 done" in out
    mask = np.asarray(PIL.Image.open(next((tmp_path / "masks").rglob("*mask*.png")))) > 0
    assert mask[80:160, 100:200].mean() > 0.8, "the object is found"
    assert mask[:40].mean() < 0.2, "the ground is not"


def test_an_installed_package_reads_its_own_weights_and_says_its_version(site, tmp_path):
    where = (
        "import lfss, lfss.weights as w; print(lfss.__file__); print(w.models_folder() / 'mini' / w.WEIGHTS)"
    )
    lines = run(sys.executable, "-c", where, cwd=tmp_path, PYTHONPATH=str(site)).split()
    assert all(Path(line).is_relative_to(site) and Path(line).is_file() for line in lines)
    program = (sys.executable, site / "bin" / "lfss")
    assert run(*program, "--version", cwd=tmp_path, PYTHONPATH=str(site)) == f"lfss {lfss.__version__}\n"
    assert run(*program, "--help", cwd=tmp_path, PYTHONPATH=str(site)).startswith("usage: lfss ")


def test_annotations_is_the_package_of_that_name():
    from lfss import annotations

    assert annotations.FORMATS
