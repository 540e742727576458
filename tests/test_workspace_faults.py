"""Killed processes, full disks, locks, damage, other versions: nothing acknowledged is lost."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from nursery import IMAGES
from samples import ORIGIN, a_draft, digest_of, smooth_scores, write_photo

from lfss.doubt import doubt_of
from lfss.errors import WorkspaceError
from lfss.images import read_image
from lfss.labels import Label
from lfss.packing import pack_mask
from lfss.storage import database
from lfss.workspace import DATABASE_NAME, Workspace

HERE = Path(__file__).parent
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)]),
    "PYTHONDONTWRITEBYTECODE": "1",
    "OMP_NUM_THREADS": "1",
}
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork processes")


@pytest.fixture
def workspace(tmp_path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path / "ws", busy_seconds=0.2) as opened:
        yield opened


def python(*arguments: str, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *arguments], env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, **options
    )


def in_plain_words(error: pytest.ExceptionInfo) -> str:
    """The message of an error, which names no class, code or line of this program."""
    text = str(error.value)
    assert not re.search(r"Traceback|sqlite3\.|Error:|errno", text), text
    assert text.endswith(".")
    return text


# Killed processes


@pytest.fixture(scope="module")
def nursery() -> Iterator[subprocess.Popen]:
    with python(str(HERE / "nursery.py"), stdin=subprocess.PIPE) as process:
        yield process
        process.stdin.close()


def fill_and_die(nursery: subprocess.Popen, folder: Path, how: str, amount: float) -> list[str]:
    nursery.stdin.write(f"{folder} {how} {amount}\n")
    nursery.stdin.flush()
    return list(iter(lambda: nursery.stdout.readline().strip(), "--"))


def assert_kept(folder: Path, acknowledged: list[str]) -> None:
    """Everything acknowledged is there, at most one change more, and the workspace is whole."""
    with Workspace.open(folder, create="opened" not in acknowledged) as workspace:
        assert workspace.check() == []
        found = [
            f"{n} {change.action}"
            for n in range(IMAGES)
            if workspace.has_draft(digest_of(n), "dog")
            for change in workspace.history(digest_of(n), "dog")
        ]
        acknowledged = [line for line in acknowledged if line != "opened"]
        assert found[: len(acknowledged)] == acknowledged
        assert len(found) <= len(acknowledged) + 1
        for n in range(len(found) // 3):
            assert (workspace.draft(digest_of(n), "dog").mask == (np.indices((40, 50))[0] < n + 2)).all()


@forks
def test_a_process_that_lives_acknowledges_everything(nursery, tmp_path):
    acknowledged = fill_and_die(nursery, tmp_path / "ws", "end", 0)
    assert len(acknowledged) == 1 + 3 * IMAGES
    assert_kept(tmp_path / "ws", acknowledged)


@forks
def test_killed_inside_a_statement_it_loses_at_most_the_change_under_way(nursery, tmp_path):
    rng = np.random.default_rng(0)
    points = {int(p) for p in np.concatenate([rng.integers(1, 1500, 48), rng.integers(1500, 15_000, 28)])}
    reached = set()
    for point in sorted(points):
        acknowledged = fill_and_die(nursery, tmp_path / f"ws{point}", "ticks", point)
        reached.add(len(acknowledged))
        assert_kept(tmp_path / f"ws{point}", acknowledged)
    assert {0, 1} <= reached  # some died while the tables were made
    assert max(reached) >= 10


@forks
def test_killed_from_outside_it_loses_at_most_the_change_under_way(nursery, tmp_path):
    for n, seconds in enumerate(np.random.default_rng(1).uniform(0.005, 0.2, 18)):
        acknowledged = fill_and_die(nursery, tmp_path / f"ws{n}", "seconds", seconds)
        assert_kept(tmp_path / f"ws{n}", acknowledged)


@forks
def test_killed_again_and_again_one_workspace_still_holds_what_was_acknowledged(nursery, tmp_path):
    known: set[str] = set()
    for point in np.random.default_rng(2).integers(200, 6000, 10):
        known |= set(fill_and_die(nursery, tmp_path / "ws", "ticks", int(point)))
        with Workspace.open(tmp_path / "ws") as workspace:
            assert workspace.check() == []
            for line in known - {"opened"}:
                number, action = line.split()
                actions = [c.action for c in workspace.history(digest_of(int(number)), "dog")]
                assert action in actions


def test_a_log_torn_at_any_byte_keeps_a_prefix_of_what_was_done(workspace, tmp_path):
    """What a power cut may leave of the last writes: the log up to some byte, or zeros after it."""
    for n in range(12):
        workspace.put_draft(a_draft(n, size=(40, 50)), smooth_scores(40, 50, n))
    log = (workspace.folder / f"{DATABASE_NAME}-wal").read_bytes()
    kept = set()
    for k, cut in enumerate(np.random.default_rng(3).integers(0, len(log), 40)):
        torn = tmp_path / f"torn{k}"
        torn.mkdir()
        shutil.copy(workspace.folder / DATABASE_NAME, torn)
        tail = bytes(len(log) - cut) if k % 2 else b""
        (torn / f"{DATABASE_NAME}-wal").write_bytes(log[:cut] + tail)
        with Workspace.open(torn) as after:
            assert after.check() == []
            digests = [draft.image_digest for draft in after.drafts()]
            assert digests == [digest_of(n) for n in range(len(digests))]
            kept.add(len(digests))
    assert len(kept) > 5


# Two processes


TWO = """
import sys
from samples import a_draft
from lfss.workspace import Workspace
workspace = Workspace.open(sys.argv[1])
for n in range(int(sys.argv[2]), int(sys.argv[3])):
    workspace.put_draft(a_draft(n, size=(20, 30), presence=float(sys.argv[4])))
print("done")
"""


def test_two_processes_fill_one_new_workspace(tmp_path):
    ranges = (("0", "25", "0.8"), ("15", "40", "0.9"))  # start, end, and who is who
    processes = [python("-c", TWO, str(tmp_path / "ws"), *some) for some in ranges]
    assert [p.communicate(timeout=60)[0] for p in processes] == ["done\n"] * 2
    with Workspace.open(tmp_path / "ws", create=False) as workspace:
        assert workspace.check() == []
        assert workspace.stats().drafts == {"dog": {"proposed": 40}}
        lengths = [len(workspace.history(digest_of(n), "dog")) for n in range(40)]
        assert lengths == [1] * 15 + [2] * 10 + [1] * 15


FORKS = """
import os, sys
from samples import a_draft
from lfss.workspace import Workspace
workspace = Workspace.open(sys.argv[1])
workspace.put_draft(a_draft(0))
child = os.fork()
for n in range(1, 11) if child == 0 else range(11, 21):
    workspace.put_draft(a_draft(n))
if child:
    print(os.waitpid(child, 0)[1])
"""


@forks
def test_a_forked_process_and_its_parent_both_go_on_writing(tmp_path):
    assert python("-c", FORKS, str(tmp_path / "ws")).communicate(timeout=60)[0] == "0\n"
    with Workspace.open(tmp_path / "ws", create=False) as after:
        assert after.check() == []
        assert after.stats().drafts == {"dog": {"proposed": 21}}


def test_a_reader_sees_one_moment_while_another_writes(workspace):
    for n in range(3):
        workspace.put_draft(a_draft(n))
    drafts = workspace.drafts()
    with Workspace.open(workspace.folder) as other:
        for k, draft in enumerate(drafts):
            other.put_draft(a_draft(10 + k))
            assert draft.image_digest == digest_of(k)
    assert len(drafts) == 3
    assert len(workspace.drafts()) == 6


# Locks, disks, folders


def test_a_lock_of_another_program_is_told_and_lifts(workspace):
    workspace.put_draft(a_draft(0))
    other = sqlite3.connect(workspace.folder / DATABASE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(WorkspaceError, match="locked by another program") as error:
        workspace.put_draft(a_draft(1))
    in_plain_words(error)
    assert len(workspace.drafts()) == 1  # reading goes on
    other.execute("ROLLBACK")
    assert workspace.put_draft(a_draft(1))


def test_a_workspace_that_another_program_holds_alone_is_told_when_opened(workspace):
    workspace.close()
    other = sqlite3.connect(workspace.folder / DATABASE_NAME, isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(WorkspaceError, match="locked by another program") as error:
        Workspace.open(workspace.folder, busy_seconds=0.1)
    in_plain_words(error)
    other.close()
    Workspace.open(workspace.folder).close()


def fill_until_refused(workspace: Workspace) -> Iterator[int]:
    rng = np.random.default_rng(0)
    for n in range(100):
        workspace.put_draft(a_draft(n, mask=rng.random((200, 200)) < 0.5))
        yield n


def test_a_full_disk_is_told_and_keeps_what_was_saved(workspace):
    with workspace._database.writing() as connection:  # the one connection of this thread
        connection.execute("PRAGMA max_page_count=60")
    stored: list[int] = []
    with pytest.raises(WorkspaceError, match=r"disk .* is full") as error:
        stored.extend(fill_until_refused(workspace))
    in_plain_words(error)
    assert workspace.check() == []
    kept = [draft.image_digest for draft in workspace.drafts()]
    assert 0 < len(kept) < 100
    assert kept == [digest_of(n) for n in range(len(kept))]
    assert workspace.put_draft(a_draft(200))  # space was freed: the limit went with its connection


LIMITED = """
import resource, signal, sys
import numpy as np
from samples import a_draft
from lfss.doubt import doubt_of
from lfss.errors import WorkspaceError
from lfss.workspace import Workspace
workspace = Workspace.open(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
rng = np.random.default_rng(0)
try:
    for n in range(1000):
        workspace.put_draft(a_draft(n, mask=rng.random((200, 200)) < 0.5))
        print(n)
except WorkspaceError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of POSIX")
def test_a_write_that_the_system_refuses_is_told_and_keeps_what_was_saved(tmp_path):
    *numbers, sentence = python("-c", LIMITED, str(tmp_path / "ws")).communicate(timeout=60)[0].splitlines()
    assert sentence.startswith("The disk that holds the workspace")
    assert "Traceback" not in sentence
    with Workspace.open(tmp_path / "ws") as workspace:
        assert workspace.check() == []
        assert [d.image_digest for d in workspace.drafts()][: len(numbers)] == [
            digest_of(int(n)) for n in numbers
        ]


READ_ONLY = """
import os, sys
from lfss.doubt import doubt_of
from lfss.errors import WorkspaceError
from lfss.workspace import Workspace
if os.geteuid() == 0:  # root may write anywhere
    os.setgroups([])
    os.setuid(65534)
for folder in sys.argv[1:]:
    try:
        Workspace.open(folder).add_label("dog")
        print("opened")
    except WorkspaceError as error:
        print(error)
"""


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs permissions of POSIX")
def test_a_read_only_folder_is_told():
    folder = Path(tempfile.mkdtemp())
    Workspace.open(folder / "old").close()
    (folder / "empty").mkdir()
    (folder / "old" / DATABASE_NAME).chmod(0o444)
    for path in (folder / "old", folder / "empty", folder):
        path.chmod(0o555)
    try:
        places = [str(folder / name) for name in ("old", "empty", "new")]
        old, empty, new = python("-c", READ_ONLY, *places).communicate(timeout=60)[0].splitlines()
    finally:
        for path in (folder, folder / "old", folder / "empty"):
            path.chmod(0o755)
        shutil.rmtree(folder)
    assert "cannot be written" in old
    assert "cannot be written" in empty
    assert "cannot be made" in new


def test_a_copy_that_cannot_be_kept_is_told(workspace, tmp_path):
    (workspace.folder / "pictures").write_text("a file where the folder should be")
    with pytest.raises(WorkspaceError, match="cannot be kept") as error:
        workspace.add_image(read_image(write_photo(tmp_path / "a.png")), keep=True)
    in_plain_words(error)
    assert list(workspace.images()) == []


def test_a_folder_without_a_workspace_is_told(tmp_path):
    with pytest.raises(WorkspaceError, match="no workspace in"):
        Workspace.open(tmp_path, create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_the_folder_is_told(tmp_path):
    (tmp_path / "ws").write_text("")
    with pytest.raises(WorkspaceError, match="cannot be made"):
        Workspace.open(tmp_path / "ws")


# Damage


@pytest.mark.parametrize("what", ["header", "text"])
def test_a_damaged_file_is_told_and_left_as_it_is(workspace, what):
    workspace.put_draft(a_draft(0))
    workspace.close()
    file = workspace.folder / DATABASE_NAME
    data = bytearray(file.read_bytes())
    data[:40] = os.urandom(40)
    file.write_bytes(bytes(data) if what == "header" else b"just some text, and more of it\n" * 200)
    before = file.read_bytes()
    with pytest.raises(WorkspaceError, match="damaged or is not a workspace") as error:
        Workspace.open(workspace.folder)
    in_plain_words(error)
    assert file.read_bytes() == before


def test_check_names_what_is_damaged_inside(workspace):
    for n in range(3):
        workspace.put_draft(a_draft(n), smooth_scores(60, 80, n))
        workspace.add_support("dog", digest_of(n))
    with workspace._database.writing() as connection:
        connection.execute("UPDATE masks SET data = substr(data, 1, 30) WHERE id = 1")
        connection.execute("UPDATE masks SET data = ? WHERE id = 2", (pack_mask(np.eye(5, dtype=bool)),))
        connection.execute("UPDATE runs SET scores = x'00' WHERE id = 3")
        connection.execute("UPDATE drafts SET revision_id = 77 WHERE id = 3")
        connection.execute("UPDATE supports SET known = x'01' WHERE position = 2")
    assert workspace.check() == [
        "1 drafts show a change that is not there.",
        "The mask for 'photo 0.jpg' is damaged.",
        "The mask for 'photo 1.jpg' is 5 x 5, the picture 60 x 80.",
        "The score map for 'photo 2.jpg' is damaged.",
        "The support for 'photo 1.jpg' is damaged.",
    ]
    with pytest.raises(WorkspaceError, match="stored mask is damaged"):
        workspace.draft(digest_of(0), "dog")


def test_pages_overwritten_in_the_middle_are_found(workspace):
    for n in range(60):
        workspace.put_draft(a_draft(n), smooth_scores(60, 80, n))
    workspace.close()
    file = workspace.folder / DATABASE_NAME
    data = bytearray(file.read_bytes())
    for page in range(12, len(data) // 4096, 7):
        data[page * 4096 : page * 4096 + 64] = bytes(64)
    file.write_bytes(bytes(data))
    with Workspace.open(workspace.folder) as damaged:
        assert any("damaged" in line for line in damaged.check())


# Versions


def test_a_newer_workspace_is_refused_and_left_as_it_is(workspace):
    workspace.put_draft(a_draft(0))
    with workspace._database.writing() as connection:
        connection.execute(f"PRAGMA user_version={database.VERSION + 1}")
    workspace.close()
    before = (workspace.folder / DATABASE_NAME).read_bytes()
    with pytest.raises(WorkspaceError, match=r"newer version of this program .*unchanged") as error:
        Workspace.open(workspace.folder)
    in_plain_words(error)
    assert (workspace.folder / DATABASE_NAME).read_bytes() == before


def test_a_database_of_another_program_is_refused_and_left_as_it_is(tmp_path):
    other = sqlite3.connect(tmp_path / DATABASE_NAME)
    other.execute("CREATE TABLE notes (text)")
    other.commit()
    other.close()
    before = (tmp_path / DATABASE_NAME).read_bytes()
    with pytest.raises(WorkspaceError, match="another program"):
        Workspace.open(tmp_path)
    assert (tmp_path / DATABASE_NAME).read_bytes() == before


def old_workspace(folder: Path, photo: Path) -> str:
    """A workspace as version 1 wrote it, with one draft; returns the digest of its picture."""
    folder.mkdir()
    image, found, draft = read_image(photo), photo.stat(), a_draft(1)
    connection = sqlite3.connect(folder / DATABASE_NAME, isolation_level=None)
    for statement in database.MIGRATIONS[0]:
        connection.execute(statement)
    file = (os.fsencode(photo), found.st_size, found.st_mtime_ns)
    origin = json.dumps({**vars(ORIGIN), "supports": list(ORIGIN.supports)})
    for table, row in [
        ("images", (1, image.digest, "old.png", *image.size, *file, "2026")),
        ("images", (2, digest_of(2), "pasted.png", 60, 80, None, None, None, "2026")),
        ("labels", (1, "dog", "dog", '["puppy"]', "[]", "#e6194b", 1)),
        ("origins", (1, origin)),
        ("drafts", (1, 1, 1, 1)),
        ("masks", (1, 1, pack_mask(draft.mask))),
        ("revisions", (1, 1, "proposed", "proposed", 0.7, 0.9, 1, 1, None, "2026")),
    ]:
        connection.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(row))})", row)
    connection.execute("PRAGMA user_version=1")
    connection.execute(f"PRAGMA application_id={database.APPLICATION_ID}")
    connection.close()
    return image.digest


def test_an_older_workspace_is_brought_up_to_date_with_all_it_holds(tmp_path):
    photo = write_photo(tmp_path / "old.png")
    digest = old_workspace(tmp_path / "ws", photo)
    with Workspace.open(tmp_path / "ws") as workspace:
        assert workspace.check() == []
        draft = workspace.draft(digest, "dog")
        assert (draft.mask == a_draft(1).mask).all()
        assert (draft.image_path, draft.origin, draft.score) == (photo, ORIGIN, 0.7)
        assert workspace.find_image(photo).digest == digest
        assert [p.path for p in workspace.images()] == [photo, None]
        workspace.record_failure("dog", photo, "It is dark.")
        with workspace._database.reading() as connection:
            assert connection.execute("PRAGMA user_version").fetchone()[0] == database.VERSION


def stored(name: str, folder: Path) -> Path:
    """A workspace as an older program wrote it, from ``tests/data``."""
    folder.mkdir()
    data = gzip.decompress((HERE / "data" / f"{name}.sqlite.gz").read_bytes())
    (folder / DATABASE_NAME).write_bytes(data)
    return folder


def test_a_stored_workspace_of_version_1_is_whole_after_the_update(tmp_path):
    with Workspace.open(stored("workspace-1", tmp_path / "ws")) as workspace:
        assert workspace.check() == []
        (draft,) = workspace.drafts("dog")
        assert (draft.mask == a_draft(1).mask).all()
        assert (draft.score, draft.doubt, draft.lost) == (0.7, pytest.approx(0.3), {})
        assert draft.origin == ORIGIN
        assert workspace.labels()[0].label == Label("dog", ("puppy",))


def test_a_stored_workspace_of_version_2_keeps_all_it_holds(tmp_path):
    with Workspace.open(stored("workspace-2", tmp_path / "ws")) as workspace:
        assert workspace.check() == []
        dog, cafe = workspace.labels()
        assert dog.label == Label("Dog", ("puppy",), ("cat", "wolf"))
        assert (cafe.colour, cafe.method, cafe.preset, cafe.settings, cafe.class_file) == (
            "#123456",
            "",
            "",
            {},
            None,
        )
        drafts = {d.image_digest: d for d in workspace.drafts("dog")}
        assert {d.status for d in drafts.values()} == {"proposed", "edited", "absent"}
        for n in (0, 3):
            threshold = 0.6 if n == 3 else 0.5
            expected = doubt_of(smooth_scores(60, 80, n), threshold)
            assert drafts[digest_of(n)].doubt == pytest.approx(expected, abs=0.03)
        assert drafts[digest_of(4)].doubt is None
        assert [c.action for c in workspace.history(digest_of(1), "dog")] == [
            "proposed",
            "edited",
            "accepted",
        ]
        assert workspace.redo(digest_of(1), "dog").status == "accepted"
        marked, plain = workspace.supports("dog")
        assert (marked.known[10:30, 20:50] == 1).all()
        assert (marked.known[:5] == 0).all()
        assert (plain.known == -1).all()
        assert workspace.failures("dog") == [(workspace.folder / "bad.png", "It is dark.")]
        assert workspace.rethreshold("dog", 0.5) == 1
        assert (workspace.draft(digest_of(3), "dog").mask == a_draft(3).mask).all()


def test_labels_that_an_older_version_told_apart_by_spaces_alone_are_both_kept(tmp_path):
    folder = stored("workspace-2", tmp_path / "ws")
    connection = sqlite3.connect(folder / DATABASE_NAME)
    for number, name in ((8, "traffic light"), (9, "Traffic  light")):
        row = (number, name, name.casefold(), "[]", "[]", f"#00000{number}", number)
        connection.execute("INSERT INTO labels VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    connection.commit()
    connection.close()
    with Workspace.open(folder) as workspace:
        names = [category.name for category in workspace.labels()]
        assert names[2:] == ["traffic light", "Traffic  light 2"]
        assert workspace.failures("TRAFFIC LIGHT") == []


def tables(folder: Path) -> list[tuple]:
    connection = sqlite3.connect(folder / DATABASE_NAME)
    found = connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE sql NOT NULL ORDER BY name"
    ).fetchall()
    connection.close()
    return found


def test_old_and_new_workspaces_end_with_the_same_tables(tmp_path):
    old_workspace(tmp_path / "old", write_photo(tmp_path / "a.png"))
    for name in ("old", "new"):
        Workspace.open(tmp_path / name).close()
    assert tables(tmp_path / "old") == tables(tmp_path / "new")


def test_a_migration_that_fails_changes_nothing(tmp_path, monkeypatch):
    digest = old_workspace(tmp_path / "ws", write_photo(tmp_path / "a.png"))
    before = tables(tmp_path / "ws")
    broken = (*database.MIGRATIONS[-1], "INSERT INTO a_table_that_is_not_there VALUES (1)")
    with monkeypatch.context() as patched:
        patched.setattr(database, "MIGRATIONS", (*database.MIGRATIONS[:-1], broken))
        with pytest.raises(WorkspaceError):
            Workspace.open(tmp_path / "ws")
    assert tables(tmp_path / "ws") == before
    with Workspace.open(tmp_path / "ws") as workspace:
        assert workspace.has_draft(digest, "dog")
