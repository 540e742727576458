"""The whole app over HTTP: its endpoints, what they refuse, and eight clients at once."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import PIL.Image
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from demo import build
from demo.page import launch_options
from demo.service import Service
from demo.sessions import Sessions
from tests.fakes import scene


@pytest.fixture(scope="module")
def sessions(tmp_path_factory) -> Sessions:
    return Sessions(root=tmp_path_factory.mktemp("sessions"))


@pytest.fixture(scope="module")
def url(sessions) -> Iterator[str]:
    service = Service("tests.fakes:preset", device="cpu")
    page = build(service, sessions)
    page.queue(default_concurrency_limit=16)
    _, address, _ = page.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    yield address
    page.close()
    sessions.close()


@pytest.fixture(scope="module")
def client(url: str) -> Client:
    return Client(url, verbose=False)


@pytest.fixture
def write(tmp_path: Path):
    def file(name: str, pixels: np.ndarray | bytes) -> dict:
        path = tmp_path / name
        if isinstance(pixels, bytes):
            path.write_bytes(pixels)
        else:
            PIL.Image.fromarray(pixels).save(path)
        return handle_file(str(path))

    return file


def a_class(client: Client, write, label: str = "red", colour: str = "red") -> str:
    return client.predict(
        label, "", [write(f"s-{colour}.png", scene(colour, seed=1))], api_name="/prepare_class"
    )


def test_only_the_three_endpoints_are_public(client):
    described = client.view_api(return_format="dict", print_info=False)
    assert set(described["named_endpoints"]) == {"/prepare_class", "/segment", "/export"}
    assert not described["unnamed_endpoints"]


def test_a_class_is_prepared_and_finds_its_object(client, write):
    saved = a_class(client, write)
    query = write("q.png", scene(seed=2, box=(40, 50, 200, 260)))
    mask, facts = client.predict(query, handle_file(saved), 0.5, False, api_name="/segment")
    found = np.asarray(PIL.Image.open(mask)) > 0
    expected = np.zeros((240, 320), bool)
    expected[40:200, 50:260] = True
    assert (found & expected).sum() / (found | expected).sum() > 0.95
    assert facts["label"] == "red"


def test_many_pictures_become_a_bundle(client, write, tmp_path):
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as z:
        for i in range(2):
            PIL.Image.fromarray(scene(seed=30 + i)).save(tmp_path / f"{i}.png")
            z.write(tmp_path / f"{i}.png", f"day/{i}.png")
    saved = a_class(client, write)
    bundle = client.predict(
        [handle_file(str(archive))], handle_file(saved), "coco", 0.5, False, api_name="/export"
    )
    assert any(n.startswith("coco/") for n in zipfile.ZipFile(bundle).namelist())


@pytest.mark.parametrize(
    ("label", "name", "content", "told"),
    [
        ("", "a.png", None, "Type a label"),
        ("x" * 10_000, "a.png", None, "at most 200"),
        ("<script>alert(1)</script>, red", "a.png", None, None),
        ("red", "a.svg", b"<svg/>", "no picture of a known kind"),
        ("red", "a.png", b"not a picture", "a.png"),
    ],
)
def test_bad_input_is_told_in_one_sentence(client, write, label, name, content, told):
    file = write(name, scene(seed=1) if content is None else content)
    if told is None:
        assert client.predict(label, "", [file], api_name="/prepare_class")
        return
    with pytest.raises(AppError, match=told) as caught:
        client.predict(label, "", [file], api_name="/prepare_class")
    assert "Traceback" not in str(caught.value)
    assert "<script>" not in str(caught.value)


def test_a_path_on_the_server_is_not_opened(url, tmp_path):
    secret = tmp_path / "secret.png"
    PIL.Image.fromarray(scene()).save(secret)
    sent = {"path": str(secret), "meta": {"_type": "gradio.FileData"}}
    called = httpx.post(f"{url}gradio_api/call/prepare_class", json={"data": ["red", "", [sent]]})
    answer = httpx.get(f"{url}gradio_api/call/prepare_class/{called.json()['event_id']}", timeout=30)
    assert "event: error" in answer.text
    assert "safetensors" not in answer.text


def odd_pictures(folder: Path) -> list[Path]:
    """A 16-bit TIFF, a rotated phone photo, an animation, and names that trip programs."""
    pixels = scene(seed=40, size=(120, 200), box=(20, 30, 100, 150))
    paths = [folder / n for n in ("deep.tif", "phone.jpg", "moving.gif", 'it\'s "q" 🐕 \u202egpj.png')]
    PIL.Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(paths[0])
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.fromarray(pixels).save(paths[1], exif=exif, quality=95)
    frames = [PIL.Image.fromarray(np.roll(pixels, 10 * i, 1)) for i in range(3)]
    frames[0].save(paths[2], save_all=True, append_images=frames[1:])
    PIL.Image.fromarray(pixels).save(paths[3])
    return paths


def test_odd_pictures_give_masks_of_their_upright_size(client, write, tmp_path):
    saved = a_class(client, write)
    for path, size in zip(odd_pictures(tmp_path), [(200, 120), (120, 200), (200, 120), (200, 120)]):
        mask, _ = client.predict(handle_file(str(path)), handle_file(saved), 0.5, True, api_name="/segment")
        assert PIL.Image.open(mask).size == size, path.name


# Every refusal is plain text with what to do


def answer(url: str, name: str, data: list) -> str:
    """What a program without gradio_client gets: the text of the last event."""
    called = httpx.post(f"{url}gradio_api/call/{name}", json={"data": data}, timeout=30)
    return httpx.get(f"{url}gradio_api/call/{name}/{called.json()['event_id']}", timeout=60).text


def sent(url: str, name: str, content: bytes) -> dict:
    (path,) = httpx.post(f"{url}gradio_api/upload", files=[("files", (name, content))], timeout=30).json()
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


WRONG = {
    "nothing at all": ("prepare_class", [], "Type a label"),
    "a number for a label": ("prepare_class", [5, "", None], "takes text; int was sent"),
    "a list for a label": ("prepare_class", [["a"], "", None], "takes text; list was sent"),
    "no supports": ("prepare_class", ["red"], "Add at least one support"),
    "text for supports": ("prepare_class", ["red", "", "a.png"], "takes a list of files"),
    "texts for supports": ("prepare_class", ["red", "", ["a.png"]], "use handle_file"),
    "a path of the server": (
        "prepare_class",
        ["red", "", [{"path": "/etc/passwd"}]],
        "not sent to this server",
    ),
    "an address": ("prepare_class", ["red", "", [{"path": "http://127.0.0.1:9/a.png"}]], "not sent to this"),
    "5,000 references": (
        "prepare_class",
        ["red", "", ["FILE"] * 5000],
        "at most 20 supports; 5,000 were sent",
    ),
    "no picture": ("segment", [None, "FILE", 0.5, False], "Send a picture"),
    "no class": ("segment", ["FILE"], "Send a class file"),
    "two pictures": ("segment", [["FILE", "FILE"], "FILE"], "takes one file; 2 were sent"),
    "a picture for a class": ("segment", ["FILE", "FILE"], "not a class saved by this program"),
    "threshold of text": ("segment", ["FILE", "FILE", "x"], "a number between 0 and 1; 'x' was given"),
    "threshold of 7": ("segment", ["FILE", "FILE", 7], "between 0 and 1"),
    "unknown format": ("export", [["FILE"], "FILE", "<b>'x'"], "There is no format '<b>'x''"),
    "a format for experts": ("export", [["FILE"], "FILE", "coco-results"], "There is no format"),
    "no pictures": ("export", [[], "FILE"], "Send the pictures"),
}


@pytest.mark.parametrize("case", WRONG)
def test_every_refusal_says_in_plain_text_what_to_do(url, case):
    name, data, told = WRONG[case]
    file = sent(url, "a.png", b"no picture")

    def filled(value):
        if isinstance(value, list):
            return [filled(v) for v in value]
        return file if value == "FILE" else value

    text = answer(url, name, filled(data))
    assert "event: error" in text
    assert json.loads(text.split("data: ")[-1])["error"], text
    assert told in json.loads(text.split("data: ")[-1])["error"]
    assert "&#" not in text
    assert "validation error" not in text
    assert tempfile.gettempdir() not in text  # no place on the server's disk


def test_optional_inputs_may_be_left_out(client, write):
    support, query = write("s.png", scene(seed=1)), write("q.png", scene(seed=2))
    saved = client.predict(label="red", supports=[support], api_name="/prepare_class")
    mask, _ = client.predict(image=query, class_file=handle_file(saved), api_name="/segment")
    assert (np.asarray(PIL.Image.open(mask)) > 0).any()


def test_one_damaged_picture_costs_that_picture(client, write):
    saved = handle_file(a_class(client, write))
    good, bad = write("q.png", scene(seed=2)), write("bad.png", b"no picture")
    bundle = client.predict([bad, good], saved, "coco", 0.5, True, api_name="/export")
    with zipfile.ZipFile(bundle) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert [p["original"] for p in manifest["pictures"]] == ["q.png"]
    assert [(f["name"], "not a picture" in f["why"]) for f in manifest["failed"]] == [("bad.png", True)]
    with pytest.raises(AppError, match="not a picture"):
        client.predict([bad], saved, "coco", 0.5, True, api_name="/export")


def test_a_call_leaves_nothing_behind_whether_it_ends_well_or_not(sessions, client, write):
    saved = handle_file(a_class(client, write))
    client.predict(write("q.png", scene(seed=2)), saved, 0.5, False, api_name="/segment")
    with pytest.raises(AppError):
        client.predict("red", "", [write("bad.png", b"no picture")], api_name="/prepare_class")
    assert not list(sessions.root.glob("call-*"))
