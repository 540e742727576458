"""Fetching: resumed, verified, unpacked only where it belongs; and clear words where nothing is to be had."""

from __future__ import annotations

import hashlib
import io
import socket
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tiny_sets import CAT, DOG, block, class_map, write_fss, write_sbd, write_voc

from lfss.errors import InputError, LfssError
from train import prepare
from train.data import splits
from train.prepare import Archive, fetch, main, unpack

CONTENT = bytes(range(256)) * 64
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server:
    """A server of one file that understands ranges, and may hang up early."""

    def __init__(self) -> None:
        self.content, self.stop_after, self.asked = CONTENT, None, []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = self.headers.get("Range")
                outer.asked.append(asked)
                start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
                if start >= len(outer.content):
                    self.send_error(416)
                    return
                body = outer.content[start:]
                self.send_response(206 if asked else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: outer.stop_after])

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/set.bin"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def test_a_file_is_fetched_once_and_verified(server: Server, tmp_path: Path) -> None:
    fetch(server.url, tmp_path / "set.bin", MD5)
    fetch(server.url, tmp_path / "set.bin", MD5)
    assert (tmp_path / "set.bin").read_bytes() == CONTENT
    assert server.asked == [None]
    assert [p.name for p in tmp_path.iterdir()] == ["set.bin"]


def test_a_broken_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.stop_after = 5000
    with pytest.raises(LfssError, match=r"could not be fetched .*goes on where it stopped"):
        fetch(server.url, tmp_path / "set.bin", MD5)
    assert (tmp_path / "set.bin.part").stat().st_size == 5000
    assert not (tmp_path / "set.bin").exists()
    server.stop_after = None
    fetch(server.url, tmp_path / "set.bin", MD5)
    assert server.asked == [None, "bytes=5000-"]
    assert (tmp_path / "set.bin").read_bytes() == CONTENT


def test_a_download_stopped_at_its_very_end_is_finished(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set.bin.part").write_bytes(CONTENT)
    fetch(server.url, tmp_path / "set.bin", MD5)
    assert (tmp_path / "set.bin").read_bytes() == CONTENT


def test_another_file_than_the_published_is_refused_and_removed(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT[:-1] + b"!"
    with pytest.raises(LfssError, match=r"is not the published file: its MD5 sum is .* expected"):
        fetch(server.url, tmp_path / "set.bin", MD5)
    assert list(tmp_path.iterdir()) == []


def test_no_connection_is_told_with_the_place_to_put_the_file(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/set.bin"
        with pytest.raises(LfssError, match=r"could not be fetched .*set.bin' yourself"):
            fetch(url, tmp_path / "set.bin", MD5)


def test_a_silent_server_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "TIMEOUT", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(LfssError, match="could not be fetched"):
            fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/x", tmp_path / "x", MD5)


def make_tar(path: Path, names: dict[str, bytes], link: str | None = None) -> Path:
    with tarfile.open(path, "w") as pack:
        for name, content in names.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            pack.addfile(member, io.BytesIO(content))
        if link:
            member = tarfile.TarInfo("link")
            member.type, member.linkname = tarfile.SYMTYPE, link
            pack.addfile(member)
    return path


def make_zip(path: Path, names: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as pack:
        for name, content in names.items():
            pack.writestr(name, content)
    return path


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_archives_unpack_below_the_root(tmp_path: Path, make) -> None:
    unpack(make(tmp_path / "a.bin", {"a/b.txt": b"1", "c.txt": b"2"}), tmp_path / "root")
    assert (tmp_path / "root" / "a" / "b.txt").read_bytes() == b"1"


@pytest.mark.parametrize("make", [make_tar, make_zip])
@pytest.mark.parametrize("name", ["../outside.txt", "/tmp/../outside.txt", "a/../../outside.txt"])
def test_names_that_lead_outside_stop_it_before_it_starts(tmp_path: Path, make, name: str) -> None:
    with pytest.raises(InputError, match="leads out of its folder"):
        unpack(make(tmp_path / "a.bin", {"good.txt": b"1", name: b"2"}), tmp_path / "root")
    assert list((tmp_path / "root").iterdir()) == []


def test_links_that_lead_outside_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="link to an absolute path"):
        unpack(make_tar(tmp_path / "a.tar", {}, link="/etc/passwd"), tmp_path / "root")


def test_a_cut_archive_is_told(tmp_path: Path) -> None:
    whole = make_tar(tmp_path / "a.tar", {"a.txt": b"1" * 5000}).read_bytes()
    (tmp_path / "a.tar").write_bytes(whole[:100])
    with pytest.raises(InputError, match=r"a.tar' cannot be unpacked \(.*\). Remove it"):
        unpack(tmp_path / "a.tar", tmp_path / "root")


def voc_archive(tmp_path: Path) -> bytes:
    root = tmp_path / "made"
    entries = [{CAT: block()}, {DOG: block()}]
    write_voc(root / "VOCdevkit" / "VOC2012", {"train": entries, "val": entries})
    with tarfile.open(tmp_path / "voc.tar", "w") as pack:
        pack.add(root / "VOCdevkit", "VOCdevkit")
    return (tmp_path / "voc.tar").read_bytes()


def test_download_and_check_from_the_command_line(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.content = voc_archive(tmp_path)
    gives = "VOCdevkit/VOC2012/SegmentationClass"
    md5 = hashlib.md5(server.content).hexdigest()
    monkeypatch.setitem(prepare.ARCHIVES, "voc", (Archive(server.url, md5, gives),))
    official = splits.Official(2, {"area": (0, 1, 1, 0)})
    monkeypatch.setitem(splits.OFFICIAL, ("voc", "val"), official)
    monkeypatch.setitem(splits.OFFICIAL, ("voc", "train"), splits.Official(2, {}))
    command = ["voc", "--root", str(tmp_path / "voc"), "--cache", str(tmp_path / "cache")]
    command += ["--download", "--check"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "val: 2 pictures" in said
    assert "pairs of picture and class, fold 1, rule area: 1 (right)" in said
    assert "trainaug: missing" in said
    assert main(command) == 0
    assert "already unpacked" in capsys.readouterr().out
    assert len(server.asked) == 1


def test_sbds_masks_are_converted_once_both_archives_are_there(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "voc"
    write_voc(root / "VOCdevkit" / "VOC2012", {"train": [{CAT: block()}], "val": [{CAT: block()}]})
    write_sbd(tmp_path / "made", {"val_000": class_map({DOG: block()})}, {})
    with tarfile.open(tmp_path / "sbd.tgz", "w:gz") as pack:
        pack.add(tmp_path / "made" / "benchmark_RELEASE", "benchmark_RELEASE")
    server.content = (tmp_path / "sbd.tgz").read_bytes()
    md5 = hashlib.md5(server.content).hexdigest()
    monkeypatch.setitem(prepare.ARCHIVES, "voc", (Archive(server.url, md5, "benchmark_RELEASE/dataset/cls"),))
    assert main(["voc", "--root", str(root), "--download"]) == 0
    assert "trainaug.txt: made from VOC's and SBD's lists" in capsys.readouterr().out
    listed = root / "VOCdevkit" / "VOC2012" / "ImageSets" / "Segmentation" / "trainaug.txt"
    assert listed.read_text().split() == ["train_000"]  # the only other picture is in VOC's val


def test_an_unpacking_that_was_stopped_is_done_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.content = voc_archive(tmp_path)
    md5 = hashlib.md5(server.content).hexdigest()
    monkeypatch.setitem(prepare.ARCHIVES, "voc", (Archive(server.url, md5, "VOCdevkit"),))
    (tmp_path / "voc" / "VOCdevkit").mkdir(parents=True)
    (tmp_path / "voc" / "set.bin").write_bytes(server.content)
    assert main(["voc", "--root", str(tmp_path / "voc"), "--download"]) == 0
    assert (tmp_path / "voc" / "VOCdevkit" / "VOC2012" / "SegmentationClass").is_dir()


def test_a_subset_is_never_called_official(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_voc(tmp_path / "voc", {"train": [{CAT: block()}], "val": [{CAT: block()}]})
    assert main(["voc", "--root", str(tmp_path / "voc"), "--cache", str(tmp_path / "cache")]) == 1
    said = capsys.readouterr().out
    assert "pictures that show a class: 1 (WRONG, expected 1449)" in said
    assert "call no result on it PASCAL-5i" in said


def test_nothing_there_is_told_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["coco", "--root", str(tmp_path / "none"), "--cache", str(tmp_path / "cache")]) == 1
    assert "There is no folder" in capsys.readouterr().out
    assert main(["fss", "--root", str(tmp_path / "none"), "--download"]) == 2
    assert "FSS-1000 has no stable address" in capsys.readouterr().err


def test_fss_needs_all_classes_of_ten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_fss(tmp_path / "fss", {"abacus": 10, "zebra": 10})
    command = ["fss", "--root", str(root), "--cache", str(tmp_path / "cache")]
    assert main(command) == 1
    assert "2 classes, 10 to 10 pictures each" in capsys.readouterr().out
    monkeypatch.setattr(prepare, "FSS_CLASSES", 2)
    assert main(command) == 0
