"""Memory for decoded pictures: waiting in order, never failing, never two that wait for each other."""

from __future__ import annotations

import io
import threading
import time
import tracemalloc

import numpy as np
import PIL.Image
import pytest

from lfss import decode
from lfss.budget import Budget
from lfss.errors import ImageError
from lfss.images import bytes_to_read, read_image


def test_who_comes_while_it_is_spent_waits_and_never_more_is_held():
    budget, most, done = Budget(10), [], []

    def visit(size: int) -> None:
        for _ in range(20):
            with budget.share(size) as got:
                assert got
                most.append(budget.held)
                time.sleep(0.0005)
        done.append(size)

    threads = [threading.Thread(target=visit, args=(1 + i % 10,)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(done) == 12
    assert max(most) <= 10
    assert budget.held == 0


def test_a_large_share_is_not_overtaken_for_ever():
    budget, order = Budget(10), []
    held = threading.Event()

    def visit(name: str, size: int) -> None:
        with budget.share(size):
            order.append(name)

    with budget.share(5):
        threads = []
        for name, size in (("large", 10), ("small", 1)):
            threads.append(threading.Thread(target=visit, args=(name, size)))
            threads[-1].start()
            while len(budget._line) < len(threads):
                held.wait(0.001)
        assert not order  # the small one could have had its share, and lets the large one go first
    for thread in threads:
        thread.join(10)
    assert order == ["large", "small"]


def test_more_than_the_whole_is_refused_at_once_and_a_fault_gives_back():
    budget = Budget(10)
    with pytest.raises(ImageError, match=r"'a\.png' needs .* smaller copy"), budget.share(11, "'a.png'"):
        pass
    with pytest.raises(ZeroDivisionError), budget.share(10):
        raise ZeroDivisionError
    assert budget.held == 0


def test_who_waits_and_leaves_holds_nothing():
    budget = Budget(10)
    with budget.share(10), budget.share(1, cancelled=lambda: True) as got:
        assert not got
        assert budget.held == 10
    with budget.share(10) as got:
        assert got


def picture(mode: str) -> PIL.Image.Image:
    rng = np.random.default_rng(0)
    noise = PIL.Image.fromarray(rng.integers(0, 256, (300, 400, 4), np.uint8), "RGBA")
    return noise.convert("RGB").convert(mode) if mode not in ("RGBA", "LA") else noise.convert(mode)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("mode", "form"),
    [
        ("RGB", "PNG"),
        ("RGB", "TIFF"),
        ("RGBA", "PNG"),
        ("LA", "PNG"),
        ("L", "PNG"),
        ("P", "PNG"),
        ("CMYK", "TIFF"),
    ],
)
def test_strips_give_the_same_pixels_as_the_whole(monkeypatch, mode, form, orientation):
    buffer, exif = io.BytesIO(), PIL.Image.Exif()
    exif[0x0112] = orientation
    picture(mode).save(buffer, form, exif=exif)
    whole = read_image(buffer.getvalue()).pixels
    monkeypatch.setattr(decode, "_STRIP_PIXELS", 400 * 7)
    strips = read_image(buffer.getvalue()).pixels
    np.testing.assert_array_equal(strips, whole)
    assert strips.flags.c_contiguous


def test_one_strip_without_alpha_stays_transparent_where_others_have_some(monkeypatch):
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[40:] = (10, 20, 30, 255)
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "PNG")
    monkeypatch.setattr(decode, "_STRIP_PIXELS", 64 * 8)
    got = read_image(buffer.getvalue()).pixels
    assert (got[:40] == 255).all()
    assert (got[40:] == (10, 20, 30)).all()


def test_the_header_alone_tells_what_a_picture_takes_and_it_takes_no_more():
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (3000, 4000), (40, 90, 160)).save(buffer, "PNG")
    data = buffer.getvalue()
    tracemalloc.start()
    needed = bytes_to_read(data)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000  # nothing was decoded
    tracemalloc.reset_peak()
    read_image(data)
    arrays = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert arrays + 4 * 12_000_000 <= needed == 9 * 12_000_000  # Pillow's own four bytes are not traced
