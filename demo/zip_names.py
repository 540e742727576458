"""What the files in a zip are called: the format tells UTF-8 alone, and many programs leave even that out.

A name is told safely by the flag for UTF-8, by a second copy of it in UTF-8 (WinRAR, Info-ZIP), or by its own
form: text in another code page is hardly ever valid UTF-8. What is left is a name in the code page of the
system that packed it, such as GBK or CP932. Which one, only a person can say.
"""

from __future__ import annotations

import zipfile
import zlib
from contextlib import suppress

from lfss.errors import InputError

_UTF8 = 0x800  # flag of a member whose name is UTF-8
_COPY = 0x7075  # number of the extra field that holds the name once more, in UTF-8


def name_of(member: zipfile.ZipInfo, encoding: str = "") -> tuple[str, bool]:
    """The name of a file in a zip, and whether it is told safely.

    Args:
        member: as ``zipfile`` lists it.
        encoding: in which names are written that do not tell; "" where nobody has said.

    Returns:
        The name; one that cannot be told reads as in the format's own code page (CP437).
    """
    if member.flag_bits & _UTF8 or member.filename.isascii():
        return member.filename, True
    data = member.filename.encode("cp437")  # each byte is a character of it
    with suppress(UnicodeError):
        return _copy(member.extra, data) or data.decode("utf-8"), True
    if encoding:
        with suppress(UnicodeError):
            return data.decode(encoding), True
    return member.filename, False


def _copy(extra: bytes, name: bytes) -> str:
    """The second copy of a name, "" where there is none or the name was changed since."""
    while len(extra) >= 4:
        kind, size = int.from_bytes(extra[:2], "little"), int.from_bytes(extra[2:4], "little")
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _COPY and field[:1] == b"\1" and field[1:5] == zlib.crc32(name).to_bytes(4, "little"):
            return field[5:].decode("utf-8")
    return ""


def checked_encoding(encoding: str) -> str:
    """An encoding for names in zips.

    Raises:
        InputError: Python does not know it, or file names cannot be written in it.
    """
    with suppress(LookupError, ValueError):  # also UnicodeError
        if b"a/b.png".decode(encoding) == "a/b.png":
            return encoding
    raise InputError(
        f"'{encoding}' is no encoding of file names. Give gbk (Chinese Windows), big5 (Taiwan), cp932 "
        "(Japanese), cp949 (Korean), cp1251 (Cyrillic) or another that Python knows."
    )


def advice(name: str) -> str:
    """A sentence on names that cannot be told, of which this is one."""
    return (
        f"The zip does not say how its names are written, so '{name}' may read wrong; its picture is not "
        "harmed. Pack the zip again with UTF-8 names, or start the app with --zip-encoding gbk (Chinese "
        "Windows), cp932 (Japanese), cp949 (Korean) or whatever fits."
    )
