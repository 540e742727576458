"""Files that are whole or not there, and what killed programs leave behind."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import PIL.Image
import pytest
from fakes import scene
from samples import a_dead_process, a_draft

from lfss import atomic
from lfss.__main__ import main
from lfss.atomic import sweep, write_atomic
from lfss.workspace import Workspace

ROOT = Path(__file__).parents[1]


@pytest.fixture
def left(monkeypatch):
    """Makes what a killed program leaves: ``left(folder, process)``."""

    def make(folder: Path, process: int, host: str = atomic._HOST) -> Path:
        path = folder / f".lfss-{host}-{process}-0a1b2c3d.partial"
        path.mkdir(parents=True)
        (path / "half.json").write_text("{")
        return path

    return make


def test_what_a_dead_process_left_is_swept_and_nothing_else(tmp_path, left):
    dead, alive = left(tmp_path, a_dead_process()), left(tmp_path, os.getpid())
    foreign = left(tmp_path, 4, host="ffffff")
    old = tmp_path / ".lfss-0a1b2c3d.partial"  # without a number, as earlier versions wrote it
    old.mkdir()
    long_ago = time.time() - atomic.ABANDONED_SECONDS - 60
    os.utime(old, (long_ago, long_ago))
    kept = [tmp_path / name for name in (".lfss-notes", "a.partial", ".lfss-x y.partial")]
    for path in kept:
        path.touch()
    assert sweep(tmp_path) == 2
    assert not dead.exists()
    assert not old.exists()
    assert all(path.exists() for path in (alive, foreign, *kept))


def test_a_link_that_looks_like_a_partial_is_left_alone(tmp_path):
    inside = tmp_path / "mine"
    inside.mkdir()
    (inside / "a.txt").touch()
    (tmp_path / f".lfss-{atomic._HOST}-{a_dead_process()}-0.partial").symlink_to(inside)
    assert sweep(tmp_path) == 0
    assert (inside / "a.txt").exists()


def test_a_file_is_synced_before_it_gets_its_name_and_the_name_after(tmp_path, monkeypatch):
    seen: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda handle: seen.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
    )
    write_atomic(tmp_path / "a", b"1", sync=False)
    assert not seen
    write_atomic(tmp_path / "a", b"2")
    assert seen[0].endswith(".partial")
    assert seen[1:] == [str(tmp_path)]
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_full_disk_leaves_nothing(tmp_path):
    def write(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        atomic.write_atomically(tmp_path / "a", write)
    assert not list(tmp_path.iterdir())


def export(*more: str) -> int:
    return main(["export", "--workspace", "ws", "--format", "coco", "png", "--out", "out", *more])


def test_an_export_after_a_killed_one_works_and_leaves_nothing(tmp_path, monkeypatch, left):
    """Several formats go into one folder: killed between two, the same command must not be refused."""
    monkeypatch.chdir(tmp_path)
    with Workspace.open("ws") as workspace:
        workspace.put_draft(a_draft(status="accepted"))
    left(tmp_path, a_dead_process())

    def killed(*_args: object, **_options: object) -> None:
        raise SystemExit(137)

    with monkeypatch.context() as patch:
        from lfss.annotations import png

        patch.setattr(png, "_write_map", killed)  # while the second format is written
        with pytest.raises(SystemExit):
            export()
    assert export() == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "ws"]
    assert sorted(p.name for p in Path("out").iterdir()) == ["coco", "png"]


def test_segment_sweeps_the_folders_it_writes_into(tmp_path, monkeypatch, left):
    monkeypatch.chdir(tmp_path)
    for name, seed in (("s.png", 0), ("q.png", 1)):
        PIL.Image.fromarray(scene(size=(144, 160), box=(40, 50, 100, 120), seed=seed)).save(name)
    dead = left(tmp_path / "out", a_dead_process())
    line = (
        "segment --label red --support s.png --query q.png --out out --preset tests.fakes:preset --device cpu"
    )
    assert main([*line.split(), "--overwrite"]) == 0
    assert not dead.exists()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs the signals of Unix")
@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP"])
def test_a_terminated_program_tidies_up_like_after_ctrl_c(tmp_path, number):
    program = (
        "import signal, time\n"
        "from pathlib import Path\n"
        "from lfss.annotations.output import new_folder\n"
        "from lfss.stopping import stopped_like_ctrl_c\n"
        # Under nohup the signal is ignored, and this program would inherit that.
        f"signal.signal(signal.{number}, signal.SIG_DFL)\n"
        "with stopped_like_ctrl_c(), new_folder(Path('out')) as folder:\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    assert list(tmp_path.iterdir())
    process.send_signal(getattr(signal, number))
    process.wait(timeout=60)
    assert not list(tmp_path.iterdir())
