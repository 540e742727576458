"""Check or download the official data sets: ``python -m train.prepare voc --root data/voc --check``.

``--check`` opens what is there, counts pictures and pairs, and compares them with the official numbers.
``--download`` fetches the archives first: it goes on where it stopped, compares every archive with its
published MD5 sum, and unpacks only below the root. FSS-1000 has no stable address; the command says
where to put it.

``voc`` is VOC 2012 and SBD, whose masks are converted to PNGs: the larger training list ``trainaug`` of
PASCAL-5i, 10,582 pictures. ``coco`` is COCO 2014, which COCO-20i uses; ``coco2017`` holds the same pictures
in other lists.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lfss.errors import InputError, LfssError

from . import cli
from .data.datasets import DataSet, check_counts, open_data
from .data.sbd import FOLDER, convert
from .data.splits import coco_fold, pascal_fold

TIMEOUT = 20.0  # seconds without an answer
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Archive:
    """A file to fetch.

    Attributes:
        url: where it lies.
        md5: its published sum.
        gives: a path below the root that is there once it is unpacked.
    """

    url: str
    md5: str
    gives: str

    @property
    def name(self) -> str:
        """Its file name."""
        return self.url.rsplit("/", 1)[-1]


_COCO = "http://images.cocodataset.org"
ARCHIVES = {
    "voc": (
        Archive(
            "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
            "6cd6e144f989b92b3379bac3b3de84fd",
            "VOCdevkit/VOC2012/SegmentationClass",
        ),
        Archive(
            "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz",
            "82b4d87ceb2ed10f6038a1cba92111cb",
            "benchmark_RELEASE/dataset/cls",
        ),
    ),
    "coco": (
        Archive(
            f"{_COCO}/annotations/annotations_trainval2014.zip",
            "0a379cfc70b0e71301e0f377548639bd",
            "annotations/instances_val2014.json",
        ),
        Archive(f"{_COCO}/zips/val2014.zip", "a3d79f5ed8d289b7a7554ce06a5782b3", "val2014"),
        Archive(f"{_COCO}/zips/train2014.zip", "0da8c0bd3d6becc4dcb32757491aca88", "train2014"),
    ),
    "coco2017": (
        Archive(
            f"{_COCO}/annotations/annotations_trainval2017.zip",
            "f4bbac642086de4f52a3fdda2de5fa2c",
            "annotations/instances_val2017.json",
        ),
        Archive(f"{_COCO}/zips/val2017.zip", "442b8da7639aecaf257c1dceb8ba8c80", "val2017"),
        Archive(f"{_COCO}/zips/train2017.zip", "cced6f7f71b7629ddf16f17bbcfab6b2", "train2017"),
    ),
}
SPLITS = {
    "voc": ("val", "train", "trainaug"),
    "coco": ("val2014", "train2014"),
    "coco2017": ("val2017", "train2017"),
}
FSS_CLASSES, FSS_PICTURES = 1000, 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 if all is there and right."""
    parser = cli.command("prepare", __doc__)
    parser.add_argument("data", choices=(*ARCHIVES, "fss"))
    parser.add_argument("--root", type=Path, required=True, help="the data set's folder")
    cli.add_cache(parser)
    parser.add_argument("--download", action="store_true", help="fetch what is missing first")
    parser.add_argument("--check", action="store_true", help="count and compare; the default")
    return cli.run(_run, parser.parse_args(arguments), stopped=cli.GOES_ON)


def _run(options: argparse.Namespace) -> int:
    if options.download:
        prepare(options.data, options.root)
    if options.check or not options.download:
        return 0 if check(options.data, options.root, options.cache) else 1
    return 0


def prepare(name: str, root: Path) -> None:
    """Fetch, verify and unpack what a data set lacks.

    Raises:
        InputError: the set cannot be fetched by a program.
        LfssError: no connection, or an archive that is not the published one.
    """
    if name not in ARCHIVES:
        raise InputError(
            "FSS-1000 has no stable address. Get it from the page of HKUSTCV/FSS-1000 on GitHub and unpack "
            f"it so that '{root}' holds a folder for each class, then run this with --check."
        )
    for archive in ARCHIVES[name]:
        done = root / f".{archive.name}.unpacked"
        # Without its archive, a folder is somebody's own copy; with it, unpacking may have been stopped.
        if done.exists() or ((root / archive.gives).exists() and not (root / archive.name).exists()):
            print(f"{archive.name}: already unpacked")
            continue
        fetch(archive.url, root / archive.name, archive.md5)
        unpack(root / archive.name, root)
        done.touch()
        print(f"{archive.name}: unpacked; the archive itself may be removed now")
    if name == "voc" and (root / FOLDER).is_dir():
        print(f"{convert(root)}: made from VOC's and SBD's lists")


def fetch(url: str, target: Path, md5: str) -> None:
    """Download a file, going on from ``target``.part, and verify it.

    Args:
        url: http or https.
        target: where it goes; nothing happens if it is there and right.
        md5: its sum. A wrong download is removed.

    Raises:
        LfssError: no connection within 20 seconds, or the file is not the published one.
    """
    if target.exists():
        _verify(target, md5)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    try:
        _download(url, part)
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise LfssError(
            f"'{url}' could not be fetched ({reason}). Check the connection and run this again, it goes on "
            f"where it stopped; or put the file at '{target}' yourself."
        ) from error
    _verify(part, md5)
    part.replace(target)


def unpack(archive: Path, root: Path) -> None:
    """Unpack a .tar or .zip below a folder.

    Raises:
        InputError: it is damaged, or a name or link in it leads out of the folder. A bad name is found
            before anything is written, a bad link when its turn comes.
    """
    root.mkdir(parents=True, exist_ok=True)
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as pack:
                members: list[Any] = pack.infolist()
                _check_inside(archive, root, [member.filename for member in members])
                for member in tqdm(members, desc=f"unpacking {archive.name}", unit="file"):
                    pack.extract(member, root)
            return
        with tarfile.open(archive) as pack_:
            members = pack_.getmembers()
            _check_inside(archive, root, [member.name for member in members])
            for member in tqdm(members, desc=f"unpacking {archive.name}", unit="file"):
                pack_.extract(member, root, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        reason = str(error).partition("\n")[0].rstrip(":")
        raise InputError(
            f"The archive '{archive}' cannot be unpacked ({reason}). Remove it and fetch it again."
        ) from error


def check(name: str, root: Path, cache: Path) -> bool:
    """Print what a data set holds beside what it should; True if all of it is right."""
    if name == "fss":
        return _check_fss(open_data(root, "fss", cache=cache, progress=True))
    folds = [(pascal_fold(i) if name == "voc" else coco_fold(i, "interleaved")).novel for i in range(4)]
    right = True
    for split in SPLITS[name]:
        try:
            data = open_data(root, name.removesuffix("2017"), split=split, cache=cache, progress=True)
        except InputError as error:
            print(f"{split}: missing. {error}")
            right = right and split == "trainaug"
            continue
        print(f"{split}: {len(data.samples)} pictures")
        for count in check_counts(data, folds):
            verdict = "right" if count.right else f"WRONG, expected {count.expected}"
            print(f"  {count.what}: {count.found} ({verdict})")
            right = right and count.right
    if not right:
        print(f"'{root}' is not the whole official data set: call no result on it PASCAL-5i or COCO-20i.")
    return right


def _check_fss(data: DataSet) -> bool:
    sizes = [sum(s.id.startswith(f"{name}/") for s in data.samples) for name in data.classes.values()]
    right = len(sizes) == FSS_CLASSES and set(sizes) == {FSS_PICTURES}
    print(
        f"{len(sizes)} classes, {min(sizes)} to {max(sizes)} pictures each ({'right' if right else 'WRONG'})"
    )
    if not right:
        print(f"FSS-1000 has {FSS_CLASSES} classes of {FSS_PICTURES} pictures: this is not all of it.")
    return right


def _download(url: str, part: Path) -> None:
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    with _open(request, part) as answer:
        if answer is None:
            return
        resumed = answer.status == 206
        length = answer.headers.get("Content-Length")
        total = int(length) + start * resumed if length else None
        with (
            part.open("ab" if resumed else "wb") as file,
            tqdm(total=total, initial=start * resumed, unit="B", unit_scale=True, desc=part.stem) as bar,
        ):
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    if total is not None and part.stat().st_size < total:
        raise OSError("the connection closed early")


@contextmanager
def _open(request: urllib.request.Request, part: Path) -> Iterator[Any]:
    """The answer, or None where the server says that nothing is left to fetch."""
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            yield answer
    except urllib.error.HTTPError as error:
        if error.code != 416 or not part.exists():
            raise
        yield None


def _verify(path: Path, md5: str) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file, tqdm(
        total=path.stat().st_size, unit="B", unit_scale=True, desc=f"verifying {path.name}"
    ) as bar:  # fmt: skip
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            bar.update(len(chunk))
    if digest.hexdigest() != md5:
        if path.suffix == ".part":
            path.unlink()
        raise LfssError(
            f"'{path}' is not the published file: its MD5 sum is {digest.hexdigest()}, expected {md5}. "
            "Remove it and fetch it again."
        )


def _check_inside(archive: Path, root: Path, names: Sequence[str]) -> None:
    for name in names:
        if not (root / name).resolve().is_relative_to(root.resolve()):
            raise InputError(f"The archive '{archive}' holds '{name}', which leads out of its folder.")


if __name__ == "__main__":
    sys.exit(main())
