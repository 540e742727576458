"""``segment --workspace``: results as drafts, on this machine or on a Ray cluster."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..batch.drafts import IntoWorkspace
from ..batch.loop import Query, Workers, here, run
from ..batch.planning import list_queries
from ..lists import PathList
from ..workspace import Workspace
from .console import counted, print_json
from .report import Report, carry_out

if TYPE_CHECKING:
    from .classes import Request
    from .refine import Refined


def segment(args: argparse.Namespace) -> int:
    """Prepare the classes once, keep drafts of every picture that lacks one, and report."""
    if args.engine == "ray":
        from ..batch.on_ray import connect

        connect(args.ray_address)
    paths = list_queries(args.query) if args.query else PathList(args.list)

    from .classes import keep_classes, load, load_model, read_request  # brings torch: cheap checks first
    from .refine import Encoder, refine

    request = read_request(args)
    local = args.engine == "local"
    predictor = load_model(args, request) if local or args.refine_with_folder else None
    segment_picture = load(args, request, predictor) if local else None
    encoder = (
        Encoder(predictor.encode, edges=predictor.edges) if predictor and args.refine_with_folder else None
    )
    if predictor and encoder:
        predictor.seen = encoder.keep  # what the run encodes the pass need not
    with Workspace.open(args.workspace) as workspace:
        sink = IntoWorkspace(
            workspace,
            {one.label.text: one.digests for one in request.classes},
            settings=request.settings,
            again=args.overwrite,
        )
        workers = here(segment_picture, sink) if segment_picture else _on_ray(args, request, sink)
        keep_classes(workspace, request)
        report = carry_out(run(_queries(paths), workers, sink), len(paths))
        labels = [one.label.text for one in request.classes]
        refined = None
        if encoder and not report.stop:
            refined = refine(workspace, encoder, labels, request.settings)
        _print(args, report, labels, refined)
        return report.code


def _queries(paths: Iterable[Path]) -> Iterable[Query]:
    return (Query(path, path.name) for path in paths)


def _on_ray(args: argparse.Namespace, request: Request, sink: IntoWorkspace) -> Workers:
    from ..batch.on_ray import LoadPreset, on_ray

    load = LoadPreset(
        request.preset,
        [(one.label, one.supports) for one in request.classes],
        method=request.method,
        device=args.device,
        options=request.settings.options,
    )
    return on_ray(load, sink, workers=args.workers, gpus=args.gpus)


def _print(args: argparse.Namespace, report: Report, labels: list[str], refined: Refined | None) -> None:
    if args.json:
        document: dict[str, Any] = {"workspace": str(args.workspace), "labels": labels}
        if len(labels) == 1:
            document["label"] = labels[0]
        document["failed"] = [{"image": path, "message": reason} for path, reason in report.failures.items()]
        if refined:
            document["refined"] = refined.as_json()
        print_json({**document, **report.as_json()})
        return
    report.print_failures()
    report.print(f"Workspace: {args.workspace}")
    earlier = report.counts["kept"] - sum(report.copies.values()) * len(labels)
    if earlier > 0 and not args.overwrite:
        print(
            f"{counted(earlier, 'draft')} of earlier stayed. "
            "With other supports or settings: --overwrite makes those again that nobody has checked."
        )
    for line in refined.lines(str(args.workspace)) if refined else ():
        print(line)
    if not report.stop:
        print(f"Review: python app.py --workspace {args.workspace}")
