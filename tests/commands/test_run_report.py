"""What a run counts, and what of it is told."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

from lfss.batch.loop import Done, Outcome, Query
from lfss.commands import into_workspace
from lfss.commands.report import Report


def a_report(*pictures: list[Outcome]) -> Report:
    report = Report()
    for outcomes in pictures:
        report.add(Done(Query(Path("x.jpg"), "x.jpg"), outcomes))
    return report


def test_a_copy_counts_once_however_many_labels_and_is_no_draft_of_earlier(capsys):
    report = a_report(
        *(
            [Outcome("x.jpg", label, "kept", copy_of=original) for label in ("dog", "cat")]
            for original in ("a.jpg", "a.jpg", "")
        )
    )
    args = Namespace(json=False, overwrite=False, workspace="ws")
    into_workspace._print(args, report, ["dog", "cat"], None)
    told = capsys.readouterr().out
    assert "2 pictures have the same pixels as 'a.jpg' and share its draft." in told
    assert "\n2 drafts of earlier stayed." in told


def test_the_label_of_a_run_is_named_where_it_is_the_only_one(capsys):
    for labels in (["dog"], ["dog", "cat"]):
        into_workspace._print(Namespace(json=True, workspace="ws"), a_report(), labels, None)
        document = json.loads(capsys.readouterr().out)
        assert document["labels"] == labels
        assert document.get("label") == ("dog" if len(labels) == 1 else None)


def test_a_hundred_failures_are_listed_and_the_others_counted(capsys):
    report = a_report(*([Outcome(f"{n}.jpg", "dog", "failed", message="It is dark.")] for n in range(103)))
    report.print_failures()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 100 + 1
    assert lines[-1] == "and 3 more pictures"
