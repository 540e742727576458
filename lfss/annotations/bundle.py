"""A bundle: one zip with drafts in the formats that were asked for, and what they are.

``manifest.json`` lists every picture and draft with its state, score, prompt, model, threshold and
the digests of its support pictures, and every file with its sha256. ``README.txt`` says how to import
each format. A bundle gets its name when it is complete; ``verify_bundle`` finds out whether a copy of
it is complete too.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from textwrap import fill
from typing import IO, Any

import numpy as np

from ..drafts import Draft
from ..errors import InputError
from . import Format, format_of, reading
from .output import copy_pictures, new_file, write_json
from .plan import ExportPlan, check_labels, plan_export

_VERSION = 1
_MANIFEST = "manifest.json"
_PACKED = frozenset((".png", ".jpg", ".jpeg", ".webp"))  # deflate would not make them smaller


def write_bundle(
    drafts: Sequence[Draft],
    out: Path,
    *,
    formats: Sequence[str] = ("coco",),
    options: Mapping[str, Any] | None = None,
    labels: Sequence[str] | None = None,
    images: bool = False,
    failed: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write a bundle.

    Args:
        drafts: what to export; see ``plan_export``.
        out: the zip file, which must not exist yet.
        formats: names from ``FORMATS``; each gets a folder of its name.
        options: for ``write`` of the formats; each takes those that it knows.
        labels: all labels, the topmost last; without it, in order of appearance.
        images: add the pictures once, under ``images``.
        failed: name and reason of pictures that have no draft, for the manifest.

    Returns:
        The zip file.

    Raises:
        UnknownName: no such format.
        ExportError: the drafts cannot be exported, or the file cannot be written.
        InputError: an option is out of range.
    """
    chosen = [format_of(name) for name in dict.fromkeys(formats)]
    plan = plan_export(drafts, labels)
    settings = dict(options or {}) | {"labels": check_labels(plan.labels), "images": False}
    with new_file(out) as partial:
        work = partial.with_suffix(".files")
        try:
            work.mkdir()
            for form in chosen:
                form.write(drafts, work / form.name, **form.accepted(settings))
            if images:
                copy_pictures(plan.pictures, work / "images")
            (work / "README.txt").write_text(_readme(chosen, images), encoding="utf-8", newline="\n")
            _write_manifest(work, drafts, plan, chosen, settings, failed)
            _zip(work, partial)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return out


def _write_manifest(
    work: Path,
    drafts: Sequence[Draft],
    plan: ExportPlan,
    chosen: Sequence[Format],
    settings: Mapping[str, Any],
    failed: Sequence[tuple[str, str]],
) -> None:
    files = {p.relative_to(work).as_posix(): p for p in sorted(work.rglob("*")) if p.is_file()}
    used = {f.name: {n: str(v) for n, v in settings.items() if n in f.options} for f in chosen}
    head = {
        "bundle": _VERSION,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "labels": plan.labels,
        "failed": [{"name": name, "why": reason} for name, reason in failed],
        "formats": used,
        "files": {n: {"sha256": _digest(p), "bytes": p.stat().st_size} for n, p in files.items()},
    }
    pictures = (
        {
            "name": picture.name,
            "original": picture.original,
            "digest": picture.digest,
            "size": picture.size,
            "drafts": [_draft_entry(drafts[place]) for place in picture.listed],
        }
        for picture in plan.pictures
    )
    write_json(work / _MANIFEST, head, {"pictures": pictures})


def _draft_entry(draft: Draft) -> dict[str, Any]:
    return {
        "label": draft.label,
        "status": draft.status,
        "score": draft.score,
        "presence": draft.presence,
        "area": int(np.count_nonzero(draft.mask)),
        "origin": asdict(draft.origin),
    }


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return _sha256(file)


def _sha256(stream: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := stream.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def _readme(chosen: Sequence[Format], images: bool) -> str:
    where = "They are in 'images'." if images else "They are not in this bundle."
    parts = [
        "Annotations made with LFSS Studio\n",
        "The pictures must carry the names that manifest.json gives them ('name'; 'original' is the name "
        f"they came with). {where} Masks fit the pictures held upright.\n",
        "Drafts that were rejected, or whose object is not in the picture, have no mask; manifest.json "
        "tells their state. Most programs take a picture without a mask for one without the object.\n",
    ]
    for form in chosen:
        parts.append(f"{form.title} (folder '{form.name}')\n{form.hint}\n")
    return "\n".join("\n".join(fill(line, 100) for line in part.split("\n")) for part in parts)


def _zip(work: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(work.rglob("*")):
            if path.is_file():
                kind = zipfile.ZIP_STORED if path.suffix.lower() in _PACKED else zipfile.ZIP_DEFLATED
                archive.write(path, path.relative_to(work).as_posix(), kind)


def verify_bundle(path: Path) -> dict[str, Any]:
    """The manifest of a bundle, after every file in it has been compared with it.

    Raises:
        InputError: it is cut short, damaged, changed, or no bundle.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = _manifest(archive)
            _compare(archive, manifest["files"])
    except OSError as error:
        raise InputError(f"'{path}' cannot be opened ({error.strerror or error}). Check the path.") from error
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
    ) as error:
        reason = str(error) if isinstance(error, InputError) else "it is cut short or damaged"
        raise InputError(
            f"'{path.name}' is not a complete bundle: {reason}. Copy or export it again."
        ) from error
    return manifest


def _manifest(archive: zipfile.ZipFile) -> dict[str, Any]:
    if _MANIFEST not in archive.namelist():
        raise InputError("it has no manifest")
    if archive.getinfo(_MANIFEST).file_size > reading.MAX_BYTES:
        raise InputError("its manifest is too large")
    manifest = json.loads(archive.read(_MANIFEST))
    if manifest["bundle"] > _VERSION:
        raise InputError("a newer version of this program made it")
    return manifest


def _compare(archive: zipfile.ZipFile, listed: Mapping[str, Mapping[str, Any]]) -> None:
    found = {i.filename: i.file_size for i in archive.infolist() if i.filename != _MANIFEST}
    for name, facts in listed.items():
        if found.pop(name, None) != facts["bytes"]:
            raise InputError(f"'{name}' is missing or has another size")
        with archive.open(name) as file:
            if _sha256(file) != facts["sha256"]:
                raise InputError(f"'{name}' was changed")
    if found:
        raise InputError(f"'{next(iter(found))}' is not listed in its manifest")
