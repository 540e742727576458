"""Under load: many clients at once, and a batch whose memory does not grow."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from gradio_client import Client, handle_file
from gradio_client.utils import Status

from demo.bench import memory
from demo.run import run
from demo.session import Settings
from tests.fakes import scene
from tests.serving import Served, serving

CLIENTS = 9  # one more than may use the model at once


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("sessions")) as served:
        yield served


def box(number: int) -> tuple[int, int, int, int]:
    return 20 + 12 * number, 30 + 9 * number, 110 + 12 * number, 150 + 9 * number


def overlap(mask: np.ndarray, number: int) -> float:
    """IoU with the rectangle of a picture of ``box(number)``."""
    top, left, bottom, right = box(number)
    expected = np.zeros(mask.shape, bool)
    expected[top:bottom, left:right] = True
    return (mask & expected).sum() / (mask | expected).sum()


def test_eight_work_at_once_the_ninth_is_told_its_place_and_each_gets_its_own(app, tmp_path, monkeypatch):
    """All nine send the same file names, so only the pictures and classes can tell results apart."""
    clients = [Client(app.url, verbose=False) for _ in range(CLIENTS)]
    colours = [("red", "blue")[number % 2] for number in range(CLIENTS)]

    def sent(number: int, name: str, **about) -> dict:
        path = tmp_path / str(number) / name
        path.parent.mkdir(exist_ok=True)
        PIL.Image.fromarray(scene(colours[number], **about)).save(path)
        return handle_file(str(path))

    prepared = [
        client.submit(colours[number], "", [sent(number, "s.png", seed=number)], api_name="/prepare_class")
        for number, client in enumerate(clients)
    ]
    saved = [job.result(timeout=60) for job in prepared]
    gate, inside, segment = threading.Event(), threading.Semaphore(0), app.service.segment

    def held(*args, **options):
        inside.release()
        assert gate.wait(60)
        yield from segment(*args, **options)

    monkeypatch.setattr(app.service, "segment", held)
    jobs = []
    for number, client in enumerate(clients):
        query = sent(number, "photo.png", seed=50 + number, box=box(number))
        jobs.append(client.submit(query, handle_file(saved[number]), 0.5, False, api_name="/segment"))
    for _ in range(CLIENTS - 1):
        assert inside.acquire(timeout=60)
    assert not inside.acquire(timeout=0.3)  # the model is never given to a ninth
    deadline = time.monotonic() + 30
    while not (waiting := [s for s in (job.status() for job in jobs) if s.code == Status.IN_QUEUE]):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert [s.rank for s in waiting] == [0]
    gate.set()
    for number, job in enumerate(jobs):
        mask, facts = job.result(timeout=60)
        assert overlap(np.asarray(PIL.Image.open(mask)) > 0, number) > 0.9
        assert facts["label"] == colours[number]


def test_eight_sessions_at_once_keep_their_drafts_apart(service, sessions, photo):
    """Each has another object and other pictures; what a session finds lies in its own workspace."""
    opened = [sessions.open(None)[1] for _ in range(8)]
    for number, session in enumerate(opened):
        session.label = ("red", "blue")[number % 2]
        colour = session.label
        session.add_supports([photo(f"s{number}.png", colour, seed=number)])
        session.add_queries(
            photo(f"q{number}-{i}.png", colour, seed=20 + 4 * number + i, box=box(number)) for i in range(3)
        )
    threads = [threading.Thread(target=lambda s=s: list(run(service, s, Settings()))) for s in opened]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, session in enumerate(opened):
        drafts = list(session.workspace.drafts(session.label))
        assert {d.image_name for d in drafts} == {f"q{number}-{i}.png" for i in range(3)}
        assert all(overlap(d.mask, number) > 0.9 for d in drafts)
        assert len(session.workspace.labels()) == 1
        assert all(p.path.is_relative_to(session.folder) for p in session.pictures.values())


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory from /proc")
def test_memory_stays_flat_over_a_batch():
    """What is kept of a picture is some 2 kB of names and numbers; its arrays lie on disk."""
    found = memory("tests.fakes:preset", queries=120, first=50)
    assert found.done == 120
    assert found.after - found.early < 8 * 2**20
