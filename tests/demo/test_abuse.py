"""Hostile files, words and calls: each is handled or refused in one sentence, and the session goes on."""

from __future__ import annotations

import sys
import unicodedata
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import cv2
import gradio as gr
import httpx
import numpy as np
import PIL.Image
import pytest

import app as program
from demo import uploads
from demo.export_tab import STATES, export
from demo.handlers import as_gradio_error
from demo.page import launch_options
from demo.run import run
from demo.session import Settings
from demo.supports_panel import look, word_notes
from lfss.annotations import FORMATS
from lfss.annotations.bundle import verify_bundle
from lfss.errors import LabelError
from tests.fakes import scene
from tests.serving import Served, Tab, file_data, serving

HARD_NAMES = [
    'it\'s "quoted".png',
    "🐕‍🦺 🇨🇭.png",
    "כלב בגן.png",
    "\u202egnp.exe.png",
    "<img src=x onerror=alert(1)>.png",
    "-rf $(reboot) `id` ; %s %00.png",
    "CON.png",
    "é" * 120 + ".png",
]


def sentence(text: str) -> bool:
    """Whether a refusal can be shown as it is: short, one line, whole sentences, no insides."""
    return 10 < len(text) < 300 and "\n" not in text and text.rstrip()[-1] in ".?!" and "Error" not in text


def files_below(folder: Path) -> set[Path]:
    return {p for p in folder.rglob("*") if p.is_file()}


def bombs(folder: Path) -> list[Path]:
    """A zip that unpacks to far more than it weighs, one with a lie about sizes, one in itself, and LZMA."""
    plain, nested, lzma = folder / "bomb.zip", folder / "nested.zip", folder / "rare.zip"
    with zipfile.ZipFile(plain, "w", zipfile.ZIP_DEFLATED) as z:
        for i in range(4):
            z.writestr(f"{i}.png", bytes(3 << 20))
    with zipfile.ZipFile(nested, "w") as z:
        z.write(plain, "inner.zip")
    with zipfile.ZipFile(lzma, "w", zipfile.ZIP_LZMA) as z:
        z.writestr("a.png", b"x" * 100)
    return [plain, nested, lzma]


def broken_pictures(folder: Path) -> list[Path]:
    """Files that are called pictures and are none, or not whole."""
    whole = cv2.imencode(".png", scene())[1].tobytes()
    contents = {
        "drawing.svg": b"<svg onload='alert(1)' xmlns='http://www.w3.org/2000/svg'/>",
        "script.png": b"#!/bin/sh\nreboot\n",
        "cut.png": whole[: len(whole) // 2],
        "empty.jpg": b"",
        "page.html": b"<script>alert(1)</script>",
        "claims.png": whole[:16] + (200_000).to_bytes(4, "big") * 2 + whole[24:],
        "pickle.png": b"\x80\x04cos\nsystem\n(S'reboot'\ntR.",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


def test_a_session_goes_on_after_every_kind_of_bad_file(service, session, photo, tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_FILE_BYTES", 2 << 20)
    monkeypatch.setattr(uploads, "SMALL_ZIP_BYTES", 3 << 20)
    session.label = "red"
    bad = tmp_path / "bad"
    bad.mkdir()
    bad_files, zips = broken_pictures(bad), bombs(bad)
    before = files_below(tmp_path) - files_below(session.folder)
    refused = session.add_supports([*bad_files, photo("s.png", seed=1)])
    assert len(refused) == len(bad_files)
    assert all(map(sentence, refused)), refused
    refused = session.add_queries(zips)
    assert all(map(sentence, refused)), refused
    assert not session.queries
    session.add_queries([*bad_files, photo("q.png", seed=2)])
    done = [u for u in run(service, session, Settings()) if u.digest]
    assert [u.name for u in done] == ["q.png"]
    assert all(sentence(reason) for _, reason in session.failures), session.failures
    after = files_below(tmp_path) - files_below(session.folder)
    assert {p.name for p in after - before} <= {"s.png", "q.png"}  # written by this test


def test_a_zip_that_lists_a_million_files_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_ZIP_LISTING", 50_000)
    archive = tmp_path / "many.zip"
    with zipfile.ZipFile(archive, "w") as z:
        for i in range(1500):
            z.writestr(f"{i}.png", b"")
    (item,) = uploads.take([archive], tmp_path / "in")
    assert "too many files" in str(item)
    assert sentence(str(item))


def test_a_bomb_of_many_files_ends_at_its_budget(tmp_path, monkeypatch):
    """Each file alone stays within its limit; together they would not."""
    monkeypatch.setattr(uploads, "SMALL_ZIP_BYTES", 4 << 20)
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as z:
        for i in range(50):
            z.writestr(f"{i}.png", bytes(1 << 20))
    items = list(uploads.take([archive], tmp_path / "in"))
    assert sum(p.stat().st_size for p in files_below(tmp_path / "in")) <= 4 << 20
    assert "The rest of it was left out" in str(items[-1])
    assert len(items) < 8


def test_damaged_zips_never_raise(photo, tmp_path):
    """Bytes of a good archive are changed at random; whatever comes of it is a picture or a sentence."""
    good = tmp_path / "good.zip"
    with zipfile.ZipFile(good, "w", zipfile.ZIP_DEFLATED) as z:
        z.write(photo("a.png", size=(40, 60), box=(5, 5, 20, 30)), "a.png")
        z.writestr("b/c.png", b"x" * 500)
    content, rng = good.read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(content)
        for place in rng.choice([*range(60), *range(len(data) - 250, len(data))], rng.integers(1, 6)):
            data[place] = rng.integers(256)
        (tmp_path / "bad.zip").write_bytes(data)
        for item in uploads.take([tmp_path / "bad.zip"], tmp_path / "in"):
            assert isinstance(item, uploads.Upload) or sentence(str(item)), item


def test_a_photo_of_10_megapixels_gets_a_mask_of_its_own_size(service, session, photo, tmp_path):
    small = scene(seed=3, size=(500, 800), box=(100, 200, 400, 600))
    large = cv2.resize(small, (4000, 2500), interpolation=cv2.INTER_NEAREST)
    path = tmp_path / "large.jpg"
    cv2.imwrite(str(path), large[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 70])
    session.label = "red"
    session.add_supports([photo("s.png", seed=1)])
    session.add_queries([path])
    (update,) = [u for u in run(service, session, Settings()) if u.digest]
    draft = session.workspace.draft(update.digest, "red")
    assert draft.mask.shape == (2500, 4000)
    assert draft.mask[500:2000, 1000:3000].mean() > 0.98
    assert draft.mask.mean() < 0.31  # the block itself is 0.3
    assert max(session.shown(update.digest).size) == 1024


@pytest.mark.parametrize("label", ["x" * 10_000, "a," * 500, "\u202edog", "<>", "\x00"])
def test_a_hard_label_is_refused_in_one_sentence(service, session, photo, label):
    service.predictor()
    session.label = label
    session.add_supports([photo("s.png", seed=1)])
    (reason,) = look(service, session)
    assert sentence(reason)
    notes = word_notes(service, label, "")
    assert len(notes) < 1000
    assert "\u202e" not in notes
    session.add_queries([photo("q.png", seed=2)])
    with pytest.raises(LabelError):
        list(run(service, session, Settings()))


def test_hard_names_and_a_label_with_markup_reach_every_export_whole_and_harmless(
    service, session, tmp_path, photo
):
    folder = tmp_path / "hard"
    folder.mkdir()
    for i, name in enumerate(HARD_NAMES):
        photo("x.png", seed=10 + i, size=(60, 80), box=(10, 20, 50, 60)).rename(folder / name)
    session.label = "<script>alert(1)</script>, red"
    session.add_supports([photo("s.png", seed=1)])
    assert session.add_queries(sorted(folder.iterdir())) == []
    assert len([u for u in run(service, session, Settings(assume_present=True)) if u.digest]) == len(
        HARD_NAMES
    )
    (name,) = [category.name for category in session.workspace.labels()]
    formats = [f for f in FORMATS if f != "coco-results"]
    bundle = export(session, [name], list(STATES), formats, images=True)
    verify_bundle(bundle)
    out = tmp_path / "out"
    with zipfile.ZipFile(bundle) as archive:
        names = archive.namelist()
        archive.extractall(out)
    assert len({n.casefold() for n in names}) == len(names)
    for entry in map(PurePosixPath, names):
        assert not entry.is_absolute()
        assert ".." not in entry.parts
        assert not any(unicodedata.category(c) in ("Cc", "Cf") and c != "\u200d" for c in str(entry)), entry
    assert len([n for n in names if n.startswith("images/")]) == len(HARD_NAMES)
    for path in out.rglob("*.xml"):
        assert ElementTree.parse(path).getroot() is not None
        assert "<script" not in path.read_text(encoding="utf-8")
    assert bundle.is_relative_to(session.folder)


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("sessions"), max_file_size="200kb") as served:
        yield served


def test_the_app_is_launched_with_the_limit_of_two_gigabytes(monkeypatch):
    seen = {}
    monkeypatch.setattr(gr.Blocks, "launch", lambda _page, **options: seen.update(options))
    monkeypatch.setattr(sys, "argv", ["app.py", "--preset", "tests.fakes:preset", "--device", "cpu"])
    program.main()
    assert seen["max_file_size"] == launch_options()["max_file_size"] == "2gb"


def test_a_file_over_the_limit_is_refused_and_the_next_is_taken(served):
    large = {"files": ("large.png", bytes(300_000))}
    answer = httpx.post(f"{served.url}gradio_api/upload", files=large, timeout=30)
    assert answer.status_code == 413
    assert "maximum allowed size" in answer.text
    assert Tab(served).upload(("small.png", b"x"))


def test_a_name_that_climbs_is_kept_inside_the_upload_folder(served, tmp_path):
    (held,) = Tab(served).upload((f"../../../../../..{tmp_path}/evil.png", b"x"))
    assert Path(held["path"]).resolve().is_relative_to(Path(served.page.app.uploaded_file_dir).resolve())
    assert not (tmp_path / "evil.png").exists()


def test_no_handler_of_the_page_opens_a_path_from_outside(served, tmp_path):
    """Every handler that takes a file is called with paths of another's files, as an attacker would."""
    other = Tab(served)
    other.open()
    session = served.sessions.get(other.id)
    secret = tmp_path / "secret.png"
    PIL.Image.fromarray(scene(seed=77)).save(secret)
    climbing = f"{served.page.app.uploaded_file_dir}/../../../../../../../..{secret}"
    tab = Tab(served)
    tab.open()
    own = served.sessions.get(tab.id)
    digests = {s.picture.digest for s in own.supports}
    takers = [
        fn for fn in served.page.fns.values()
        if any(isinstance(i, gr.File | gr.UploadButton | gr.Image | gr.ImageEditor) for i in fn.inputs)
    ]  # fmt: skip
    assert len(takers) > 5
    for fn in takers:
        for path in (secret, session.supports[0].picture.path, climbing):
            message = tab.call(fn, [_hostile(component, path) for component in fn.inputs])
            assert not message["success"], fn
            assert "Traceback" not in str(message)
    assert {s.picture.digest for s in own.supports} == digests
    for path in (secret, session.supports[0].picture.path, climbing, "app.py", "/etc/passwd"):
        answer = httpx.get(f"{served.url}gradio_api/file={path}")
        assert answer.status_code in (403, 404), path


def test_a_tab_goes_on_after_bad_files_and_sees_nothing_of_another(served):
    """A file that is no picture is refused, and the same tab then runs on good ones."""
    first, second = Tab(served), Tab(served)
    for tab in (first, second):
        tab.open()
    good, query = (
        cv2.imencode(".png", scene(seed=i, size=(120, 160), box=(30, 40, 90, 110)))[1].tobytes()
        for i in (1, 2)
    )
    bad = "<img src=x onerror=alert(1)>.png"
    supports = first.upload((bad, b"no picture"), ("good.png", good))
    answer = first.call(first.handler("supports", "upload"), ["", supports, "blue", ""])
    assert answer["success"], answer
    assert "<img src=x" not in str(answer)
    session = served.sessions.get(first.id)
    assert [s.picture.name for s in session.supports] == ["good.png"]
    assert "good.png" not in str(served.sessions.get(second.id).supports)
    sent = first.upload(("q.png", query))
    assert first.call(first.handler("queries", "upload"), ["", sent])["success"]
    done = first.call(first.handler("run", "click"), ["", 0.5, 0.45, True])
    assert done["success"], done
    assert len(session.found) == 1
    assert served.sessions.get(second.id).example


@pytest.mark.parametrize("name", ["<b>x</b>", "'\"><script>alert(1)</script>"])
def test_errors_show_markup_as_text(name):
    assert "<" not in as_gradio_error(LabelError(f"No label '{name}'.")).message


def _hostile(component: gr.components.Component, path: str | Path) -> object:
    """A value for an input of a handler: the path wherever a file goes, nothing elsewhere."""
    if isinstance(component, gr.ImageEditor):
        return {"background": file_data(path), "layers": [file_data(path)], "composite": None}
    if isinstance(component, gr.File | gr.UploadButton):
        return [file_data(path)] if component.file_count != "single" else file_data(path)
    if isinstance(component, gr.Image):
        return file_data(path)
    return None
