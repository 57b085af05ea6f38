"""Stage predict: the poses of a data set's val images, in its own skeleton, under ground-truth and detected boxes."""

from __future__ import annotations

from dataclasses import replace

from poseline.artifacts import Layout, PoseTable, TableHeader, atomic_folder, write_json, write_poses
from poseline.artifacts.freshness import made_from
from poseline.config import Params, config_hash
from poseline.config.params import Yaml
from poseline.core.skeletons import map_keypoints
from poseline.datasets.formats import set_skeleton
from poseline.datasets.sets import dataset_config
from poseline.infer.predict import list_boxes, list_inputs, model_hash, predict_boxes
from poseline.infer.rescoring import read_calibration, rescore
from poseline.infer.runtime import load_estimator
from poseline.models.device import resolve_device


def run(params: Params, layout: Layout, device: str, name: str) -> dict[str, int]:
    """Counts of poses by kind of boxes, after writing poses.parquet and about.json to data/predictions/NAME.

    A set that is not enabled or has no val split gets only an about.json that says so.
    """
    config = dataset_config(params.data, name)
    target = layout.predictions / name
    if not config.enabled or config.val is None:
        with atomic_folder(target) as folder:
            write_json(folder / "about.json", {"enabled": False, "made_from": made_from("predict", params, layout, [], name=name)})
        return {}
    predict = params.predict
    estimator = load_estimator(predict, layout.model, resolve_device(device))
    skeleton = set_skeleton(config, name=name)
    boxes = list_boxes(layout, name, config, min_score=predict.min_box_score)
    found = PoseTable.concat([predict_boxes(estimator, kind, skeleton, predict.nms) for kind in boxes])
    rescored = config.format == "coco" and predict.rescoring == "expected_oks"
    if rescored:
        found = replace(found, poses=rescore(found.poses, read_calibration(predict, layout, estimator.score), estimator.score))
    missing = [k for k, index in zip(skeleton.keypoints, map_keypoints(estimator.skeleton, skeleton), strict=True) if index < 0]
    counts = {str(kind): int(count) for kind, count in found.rows["boxes"].value_counts().items()}
    header = TableHeader("predictions", skeleton.name, config_hash(predict), model_hash(layout, predict))
    about: dict[str, Yaml] = {
        "enabled": True,
        "poses": dict(counts),
        "model_hash": header.source_hash,
        "flip": predict.flip,
        "input_wh": list(estimator.saved.model.input_wh),
        "codec": estimator.saved.codec.kind,
        "geometry": estimator.saved.codec.geometry,
        "nms": predict.nms.kind,
        "nms_mode": predict.nms.mode,
        "score": "expected_oks" if rescored else estimator.score,
        "missing_keypoints": list(missing),
        "made_from": made_from("predict", params, layout, list_inputs(layout, name, config, predict), name=name),
    }
    with atomic_folder(target) as folder:
        write_poses(folder / "poses.parquet", found, header)
        write_json(folder / "about.json", about)
    return counts
