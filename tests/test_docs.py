"""What the pages name exists."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lfss.annotations import FORMATS

ROOT = Path(__file__).resolve().parents[1]
PAGES = ["README.md", *(str(p.relative_to(ROOT)) for p in sorted((ROOT / "docs").rglob("*.md")))]
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
PATH = re.compile(r"`((?:lfss|demo|train|tests|docs|assets)/[\w./-]+)`")


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_is_there(page):
    named = {name for name in PATH.findall((ROOT / page).read_text(encoding="utf-8")) if "NAME" not in name}
    assert {name for name in named if not (ROOT / name).exists()} == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_somewhere(page):
    links = LINK.findall((ROOT / page).read_text(encoding="utf-8"))
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []


def test_every_file_of_the_picture_of_the_house_is_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    house = text.partition("## How it is built")[2].partition("```\n")[2].partition("```")[0]
    found = re.findall(r"^((?:lfss|demo|train)/[\w/.]*)", house, re.MULTILINE)
    assert len(found) > 8
    assert [name for name in found if not (ROOT / name).exists()] == []


def test_an_addition_touches_at_most_three_files():
    text = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert [s.splitlines()[0] for s in sections] == ["A method", "A format", "A preset", "A tab"]
    assert all(len(re.findall(r"^\d\. `", s, re.MULTILINE)) <= 3 for s in sections)


def test_the_formats_page_tells_of_every_format():
    text = (ROOT / "docs/formats.md").read_text(encoding="utf-8")
    assert [name for name in FORMATS if f"`{name}`" not in text] == []


@pytest.mark.parametrize("result", sorted(p.name for p in (ROOT / "docs" / "results").glob("*.json")))
def test_the_command_of_a_result_names_no_path_of_one_machine(result):
    """A reader runs it in a clone; absolute paths would be those of the machine where it was made."""
    command = json.loads((ROOT / "docs" / "results" / result).read_text(encoding="utf-8"))["command"]
    assert command.startswith("python -m ")
    assert [word for word in command.split() if word.startswith(("/", "~"))] == []
