"""Opens exports with the readers that people use. Runs in the readers' own environment.

Reads one request a line from standard input, a JSON object with ``check`` (a function below), its
arguments, and ``out``, where the masks found go. Answers with a line: what was found about each mask,
in the order of the file. Nothing of the program under test is imported here, but for one reader.
"""

from __future__ import annotations

import contextlib
import json
import sys
import traceback
import types
from pathlib import Path

import numpy as np

INSTANCES = "annotations/instances_default.json"


def pycocotools_instances(folder: Path):
    from pycocotools.coco import COCO

    coco = COCO(folder / INSTANCES)
    for image in coco.loadImgs(coco.getImgIds()):
        yield {"listed": image["file_name"]}, None
        for shape in coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]])):
            label = coco.loadCats([shape["category_id"]])[0]["name"]
            facts = {k: shape[k] for k in ("area", "bbox", "iscrowd", "score") if k in shape}
            yield facts | {"picture": image["file_name"], "label": label}, coco.annToMask(shape)


def pycocotools_results(folder: Path, truth: str):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    coco = COCO(Path(truth) / INSTANCES)
    results = coco.loadRes(str(folder / "results.json"))
    measured = COCOeval(coco, results, "segm")
    measured.evaluate()
    measured.accumulate()
    measured.summarize()
    yield {"average_precision": float(measured.stats[0])}, None
    for shape in results.loadAnns(results.getAnnIds()):
        label = coco.loadCats([shape["category_id"]])[0]["name"]
        picture = coco.loadImgs([shape["image_id"]])[0]["file_name"]
        yield {"picture": picture, "label": label, "score": shape["score"]}, results.annToMask(shape)


def datumaro(folder: Path, layout: str):
    from datumaro.components.annotation import AnnotationType
    from datumaro.components.dataset import Dataset
    from pycocotools import mask as run_lengths

    dataset = Dataset.import_from(str(folder), layout)
    labels = dataset.categories()[AnnotationType.label]
    for item in dataset:
        yield {"listed": item.id}, None
        polygons: dict[int, list] = {}
        for shape in item.annotations:
            facts = {"picture": item.id, "label": labels[shape.label].name, "said": _plain(shape.attributes)}
            if shape.type == AnnotationType.mask:
                yield facts, np.asarray(shape.image)
            elif shape.type == AnnotationType.polygon:
                polygons.setdefault(shape.group, []).append((facts, shape.points))
        for parts in polygons.values():
            size = item.media.size
            yield (
                parts[0][0],
                run_lengths.decode(
                    run_lengths.merge(run_lengths.frPyObjects([points for _, points in parts], *size))
                ),
            )


def supervision_coco(folder: Path, images: str):
    import supervision

    dataset = supervision.DetectionDataset.from_coco(images, str(folder / INSTANCES))
    yield from _detections(dataset)


def supervision_yolo(folder: Path):
    import supervision

    dataset = supervision.DetectionDataset.from_yolo(
        str(folder / "images/train"), str(folder / "labels/train"), str(folder / "data.yaml")
    )
    yield from _detections(dataset)


def _detections(dataset):
    for path, _, found in dataset:
        yield {"listed": Path(path).name}, None
        for index in range(len(found)):
            label = dataset.classes[found.class_id[index]]
            yield {"picture": Path(path).name, "label": label}, found.mask[index]


def supervision_detections(folder: Path, program: str, example: str, site: str):
    """Drafts through ``supervision.Detections`` and back, by the lines that the documentation shows.

    Here alone the program under test is imported, since it makes the objects of the package.
    """
    sys.path += [program, site]
    from lfss.drafts import Draft
    from lfss.images import read_image

    image = read_image(folder / "photo.png")
    with np.load(folder / "masks.npz") as masks:
        drafts = [Draft(image.name, image.digest, k, m, score=0.8) for k, m in masks.items()]
    names: dict = {"drafts": drafts, "image": image}
    exec(example, names)
    for row in names["detections"]:
        yield {"picture": "out", "label": row[5]["class_name"], "confidence": float(row[2])}, row[1]
    for draft in names["drafts"]:
        yield {"picture": "back", "label": draft.label, "status": draft.status}, draft.mask


def label_studio(folder: Path):
    from label_studio_sdk.converter.brush import decode_rle
    from label_studio_sdk.label_interface import LabelInterface
    from pycocotools import mask as run_lengths

    interface = LabelInterface((folder / "labeling_config.xml").read_text(encoding="utf-8"))
    for task in json.loads((folder / "tasks.json").read_text(encoding="utf-8")):
        yield {"listed": task["data"]["image"], "data": task["data"]}, None
        for kind in ("predictions", "annotations"):
            for group in task[kind]:
                errors = interface._validate_object(group, return_errors=True)
                if kind == "predictions":
                    errors = interface.validate_prediction(group, return_errors=True)
                for region in group["result"]:
                    size = region["original_height"], region["original_width"]
                    value = region["value"]
                    if region["type"] == "brushlabels":
                        mask = decode_rle(value["rle"]).reshape(*size, 4)[..., 3] > 128
                        label = value["brushlabels"][0]
                    else:
                        points = np.array(value["points"]) * (size[1] / 100, size[0] / 100)
                        runs = run_lengths.frPyObjects([points.reshape(-1).tolist()], *size)
                        mask, label = run_lengths.decode(runs)[..., 0], value["polygonlabels"][0]
                    facts = {"picture": task["data"]["image"], "label": label, "kind": kind, "errors": errors}
                    yield facts | {"model": group.get("model_version"), "score": group.get("score")}, mask


def label_studio_coco(folder: Path):
    """Polygons through Label Studio's own converter to COCO."""
    import tempfile

    from label_studio_sdk.converter import Converter
    from pycocotools.coco import COCO

    tasks = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
    for number, task in enumerate(tasks):
        task["id"] = number
        groups = task["predictions"] + task["annotations"]
        task["annotations"] = [{"id": number, "result": [r for g in groups for r in g["result"]]}]
    with tempfile.TemporaryDirectory() as work:
        source = Path(work, "tasks.json")
        source.write_text(json.dumps(tasks))
        converter = Converter(str(folder / "labeling_config.xml"), work, download_resources=False)
        converter.convert_to_coco(str(source), work, output_image_dir=work, is_dir=False)
        coco = COCO(Path(work, "result.json"))
        for shape in coco.loadAnns(coco.getAnnIds()):
            # The converter names pictures anew, in the order of the tasks.
            picture = tasks[coco.getImgIds().index(shape["image_id"])]["data"]["image"]
            label = coco.loadCats([shape["category_id"]])[0]["name"]
            yield {"picture": picture, "label": label}, coco.annToMask(shape)


def labelme(folder: Path):
    # Imported at the top of the package for the order in which Windows loads libraries; not used here.
    sys.modules["onnxruntime"] = types.ModuleType("onnxruntime")
    try:
        from labelme import LabelFile
        from labelme.utils import shapes_to_label
    finally:
        del sys.modules["onnxruntime"]

    for path in sorted(folder.glob("*.json")):
        file = LabelFile(str(path))
        yield {"listed": file.image_path, "size": list(_size_of(file.image_data))}, None
        for shape in file.shapes:
            facts = {"picture": file.image_path, "label": shape["label"], "group": shape["group_id"]}
            facts |= {
                "said": shape["other_data"]["lfss"],
                "note": shape["description"],
                "flags": shape["flags"],
            }
            numbers = {shape["label"]: 1}
            yield facts, shapes_to_label(_size_of(file.image_data), [shape], numbers)[0] > 0


def _size_of(data: bytes) -> tuple[int, int]:
    import io

    from PIL import Image

    with Image.open(io.BytesIO(data)) as picture:
        return picture.size[::-1]


def ultralytics_yolo(folder: Path, site: str, started: str):
    """As training reads it, started in another folder than the data set's."""
    import os

    with _torchvision(site):
        from ultralytics.data.dataset import YOLODataset
        from ultralytics.data.utils import check_det_dataset, polygon2mask

        here = Path.cwd()
        os.chdir(started)
        try:
            data = check_det_dataset(str(folder / "data.yaml"), autodownload=False)
        finally:
            os.chdir(here)
        dataset = YOLODataset(img_path=data["train"], data=data, task="segment", imgsz=64)
        for label in dataset.labels:
            name, size = Path(label["im_file"]).name, label["shape"]
            yield {"listed": name, "size": list(size)}, None
            for number, outline in zip(label["cls"][:, 0], label["segments"], strict=True):
                points = (outline * (size[1], size[0])).reshape(1, -1)
                yield {"picture": name, "label": data["names"][int(number)]}, polygon2mask(size, points)


def torchvision_coco(folder: Path, site: str):
    with _torchvision(site) as torchvision:
        dataset = torchvision.datasets.CocoDetection(str(folder / "images/default"), str(folder / INSTANCES))
        for index in range(len(dataset)):
            image, shapes = dataset[index]
            name = dataset.coco.loadImgs([dataset.ids[index]])[0]["file_name"]
            yield {"listed": name, "size": image.size[::-1]}, None
            for shape in shapes:
                label = dataset.coco.loadCats([shape["category_id"]])[0]["name"]
                yield {"picture": name, "label": label}, dataset.coco.annToMask(shape)


def torchvision_voc(folder: Path, site: str):
    with _torchvision(site) as torchvision:
        dataset = torchvision.datasets.VOCSegmentation(str(folder), "2012", "train")
        for index in range(len(dataset)):
            image, classes = dataset[index]
            name = Path(dataset.images[index]).name
            yield {"listed": name, "size": image.size[::-1], "mode": classes.mode}, np.array(classes)


@contextlib.contextmanager
def _torchvision(site: str):
    """torchvision from the environment of the program, behind everything of this one."""
    sys.path.append(site)
    import torch

    try:
        import torchvision
    except RuntimeError:  # its compiled part fits another torch; data sets do without
        for name in [n for n in sys.modules if n.startswith("torchvision")]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision

        torchvision.declared = library  # what is declared goes when the library is collected
    try:
        yield torchvision
    finally:
        sys.path.remove(site)


def _plain(values: dict) -> dict:
    return {k: v for k, v in values.items() if isinstance(v, str | int | float | bool)}


def answer(request: dict) -> dict:
    out = request.pop("out")
    check = globals()[request.pop("check")]
    found = list(check(Path(request.pop("folder")), **request))
    masks = {str(n): np.asarray(mask) for n, (_, mask) in enumerate(found) if mask is not None}
    np.savez(out, **masks)
    return {"found": [facts for facts, _ in found]}


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # readers print as they like
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line))
        except ImportError as error:
            reply = {"missing": f"{type(error).__name__}: {error}"}
        except Exception:
            reply = {"failed": traceback.format_exc()}
        answers.write(json.dumps(reply) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
