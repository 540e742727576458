"""Names and labels of an export are decided, and refused, before anything is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn import a_draft, mask

from lfss.annotations.plan import check_labels, paint, plan_export, safe_name, unique
from lfss.errors import ExportError


def names(*drafts) -> list[str]:
    return [p.name for p in plan_export(list(drafts)).pictures]


def test_a_name_that_is_unique_stays_as_it_is() -> None:
    assert names(a_draft("dog 1.jpg"), a_draft("東京 ñ.png")) == ["dog 1.jpg", "東京 ñ.png"]


def test_the_same_name_from_two_folders_gets_digests_in_any_order() -> None:
    one, two = a_draft("a/dog.jpg", digest="1" * 64), a_draft("b/dog.jpg", digest="2" * 64)
    assert names(one, two) == ["dog-11111111.jpg", "dog-22222222.jpg"]
    assert names(two, one) == ["dog-22222222.jpg", "dog-11111111.jpg"]


def test_names_that_differ_in_case_or_extension_clash_too() -> None:
    drafts = [a_draft(n, digest=d * 64) for n, d in (("Dog.jpg", "1"), ("dog.JPG", "2"), ("DOG.png", "3"))]
    assert names(*drafts) == ["Dog-11111111.jpg", "dog-22222222.JPG", "DOG-33333333.png"]


def test_the_same_pixels_under_one_name_in_two_folders_stay_two_pictures() -> None:
    drafts = [a_draft("a/dog.jpg", digest="1" * 64), a_draft("b/dog.jpg", digest="1" * 64)]
    assert names(*drafts) == ["dog-11111111.jpg", "dog-11111111-2.jpg"]


def test_a_name_made_unique_does_not_clash_with_a_name_that_was_there() -> None:
    assert unique(["a.jpg", "A.jpg", "a-1.jpg"], ["1", "2", "3"]) == ["a-1-2.jpg", "A-2.jpg", "a-1.jpg"]


def test_pictures_without_digest_are_told_apart_by_their_paths() -> None:
    one = a_draft("dog.jpg", digest="", image_path=Path("a/dog.jpg"))
    two = a_draft("dog.jpg", digest="", image_path=Path("b/dog.jpg"))
    assert len(set(names(one, two))) == 2


@pytest.mark.parametrize(
    ("original", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\photos\\dog.jpg", "dog.jpg"),
        ("a:b*c?.jpg", "a_b_c_.jpg"),
        ("con.png", "_con.png"),
        ("..", "picture"),
        ("", "picture"),
        (".jpg", "jpg"),
        ("dog .jpg", "dog.jpg"),
        ("#1.jpg", "_1.jpg"),
        ("line\nend.jpg", "line_end.jpg"),
        ("photo\u202egpj.exe", "photo_gpj.exe"),
        ("no extension", "no extension"),
        ("archive.tar.gz", "archive.tar.gz"),
        ("\udc80.jpg", "_.jpg"),
    ],
)
def test_names_are_made_safe_for_every_file_system(original: str, safe: str) -> None:
    assert safe_name(original) == safe


def test_an_ending_has_at_most_eight_letters() -> None:
    assert safe_name("a .abcdefgh") == "a.abcdefgh"
    assert safe_name("a .abcdefghi") == "a .abcdefghi", "this is no ending but part of the name"


def test_long_names_are_cut_between_letters_and_keep_their_extension() -> None:
    name = safe_name("京" * 300 + ".jpg")
    assert len(name.encode()) <= 130
    assert name.endswith("京.jpg")


def test_rejected_absent_and_unmarked_drafts_list_their_picture_without_a_mask() -> None:
    drafts = [
        a_draft("1.jpg", status="rejected"),
        a_draft("2.jpg", status="absent"),
        a_draft("3.jpg", shape=np.zeros((10, 12), bool)),
        a_draft("4.jpg", status="edited"),
    ]
    plan = plan_export(drafts)
    assert [p.drafts for p in plan.pictures] == [(), (), (), (3,)]
    assert [p.absent for p in plan.pictures] == [(), ("dog",), (), ()]
    assert [p.listed for p in plan.pictures] == [(0,), (1,), (2,), (3,)]


def test_nothing_to_export_is_refused() -> None:
    with pytest.raises(ExportError, match="nothing to export"):
        plan_export([])


def test_two_sizes_of_one_picture_are_refused() -> None:
    with pytest.raises(ExportError, match=r"dog\.jpg"):
        plan_export([a_draft("dog.jpg"), a_draft("dog.jpg", shape=np.ones((12, 10), bool))])


@pytest.mark.parametrize("other", ["Dog", "dog", "DOG"])
def test_labels_that_differ_in_case_alone_are_refused(other: str) -> None:
    with pytest.raises(ExportError, match="taken for the same"):
        check_labels(["dog", other])


def test_labels_that_differ_in_accents_writing_or_spaces_alone_are_refused() -> None:
    for one, two in (("caf\u00e9", "cafe\u0301"), ("hot dog", "hot  dog"), ("straße", "STRASSE")):
        with pytest.raises(ExportError, match="taken for the same"):
            check_labels([one, two])


@pytest.mark.parametrize("label", ["", "  ", " dog", "do\ng", "dog\x00", "\udc80"])
def test_labels_that_cannot_be_written_are_refused(label: str) -> None:
    with pytest.raises(ExportError, match="Rename it"):
        check_labels([label])


def test_a_list_of_labels_sets_the_order_and_must_be_complete() -> None:
    drafts = [a_draft("1.jpg", "dog"), a_draft("2.jpg", "cat")]
    assert plan_export(drafts).labels == ("dog", "cat")
    assert plan_export(drafts, ["bird", "cat", "dog"]).labels == ("bird", "cat", "dog")
    with pytest.raises(ExportError, match="lacks 'dog'"):
        plan_export(drafts, ["cat"])


def test_later_labels_lie_on_top_whatever_the_order_of_the_drafts() -> None:
    low = a_draft(label="sky", shape=mask("###.", "###."))
    high = a_draft(label="dog", shape=mask("..##", "...."))
    assert paint([high, low], ["sky", "dog"]).tolist() == [[2, 2, 1, 1], [2, 2, 2, 0]]
    assert paint([high, low], ["dog", "sky"]).tolist() == [[2, 2, 2, 1], [2, 2, 2, 0]]


def test_drafts_are_taken_one_by_one_so_that_a_lazy_list_stays_lazy() -> None:
    class Lazy(list):
        def __iter__(self):
            raise AssertionError("all drafts at once")

    assert len(plan_export(Lazy([a_draft("1.jpg"), a_draft("2.jpg")])).pictures) == 2
