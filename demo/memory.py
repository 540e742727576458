"""How much memory decoded pictures of all visitors may take together; who comes later waits.

The default fits a machine with 2 GB: Python, the page and ``mini`` take about 0.7 GB, pictures the rest.
A large preset needs more; ``python app.py --memory`` says how much there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lfss.budget import Budget
from lfss.errors import InputError
from lfss.images import Image, bytes_to_read, read_image

DEFAULT_GB, LEAST_GB = 2.0, 1.0
PROGRAM_BYTES = 700_000_000  # what the app itself takes
LEAST_BYTES = 120_000_000  # one photo of 12 megapixels must fit
FREE_SIDE = 1024  # pixels; pictures no longer than this are read without waiting, as the page shows them
KEPT_EACH = 4  # bytes a pixel of a picture that is decoded and waits: its colours and its marks
# Of what reading a picture takes, what each label after the first adds: its score, its mask and its claim.
LABEL_SHARE = 1.5


def pictures_budget(gigabytes: float) -> int:
    """Bytes for decoded pictures where the app may take so much memory in all."""
    return max(LEAST_BYTES, int(gigabytes * 1e9) - PROGRAM_BYTES)


PICTURES = Budget(pictures_budget(DEFAULT_GB))


@contextmanager
def opened(
    path: Path, name: str, *, labels: int = 1, cancelled: Callable[[], bool] = lambda: False
) -> Iterator[Image | None]:
    """A picture, decoded for as long as the block runs; waits until there is memory for it.

    Args:
        path: the picture.
        name: for people.
        labels: how many are searched for in it at once.
        cancelled: asked while waiting.

    Yields:
        None if ``cancelled()`` became true while waiting.

    Raises:
        ImageError: it cannot be read, or needs more memory than all pictures may take together.
    """
    needed = bytes_to_read(path, name=name)
    needed += round((labels - 1) * needed * LABEL_SHARE)
    with PICTURES.share(needed, f"'{name}'", cancelled=cancelled) as got:
        yield read_image(path, name=name) if got else None


@contextmanager
def room_for(pictures: Sequence[tuple[Path, str, tuple[int, int]]]) -> Iterator[None]:
    """Memory for several pictures at once, which the block decodes one by one and keeps.

    Args:
        pictures: path, name and (H, W) of each.

    Raises:
        InputError: together they need more than all pictures may take.
    """
    if not pictures:
        yield
        return
    kept = sum(height * width for _, _, (height, width) in pictures) * KEPT_EACH
    needed = kept + max(bytes_to_read(path, name=name) for path, name, _ in pictures)
    if needed > PICTURES.size:
        raise InputError(
            f"These supports need {needed / 1e6:,.0f} MB of memory together; here they may take "
            f"{PICTURES.size / 1e6:,.0f} MB. Use fewer, or smaller copies."
        )
    with PICTURES.share(needed):
        yield
