"""A small valid set of files of every form that people hand over, and what is read of each: for tests over all readers."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.io
from reading import read_format

from poseline.checks.tables import people_table
from poseline.config.tracking import TrackConfig
from poseline.core.skeletons import load_skeleton
from poseline.datasets.coco_format import read_detections
from poseline.errors import DataError
from poseline.evaluation.scoring import score_files
from poseline.track.files import track_files

SIZE_WH = (400, 300)
NUM_IMAGES, PEOPLE = 3, 2
Content = object
"""What a JSON file holds, or the text of another file."""


@dataclass(frozen=True)
class Form:
    """One form.

    Attributes:
        files: name -> content.
        read: what is read of a folder with these files: plain numbers, equal for equal meaning.
        folders: names of the folders in it that are read whole.
    """

    files: dict[str, Content]
    read: Callable[[Path], object]
    folders: tuple[str, ...] = ()

    def write(self, folder: Path, changed: dict[str, bytes] | None = None) -> Path:
        """The folder after writing the files into it, some in other bytes."""
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((changed or {}).get(name, encode(content)))
        return folder


def encode(content: Content, encoding: str = "utf-8") -> bytes:
    """The bytes of a file."""
    return (content if isinstance(content, str) else json.dumps(content)).encode(encoding)


def points(count: int, person: int, *, noise: float = 0.0) -> np.ndarray:
    """[count, 2] keypoints of one of the people, those of a prediction off by ``noise``."""
    rng = np.random.default_rng(person)
    base = rng.uniform((0, 0), (60, 160), (count, 2)) + np.array([40 + 150 * (person % PEOPLE), 60])
    return np.round(base + noise * np.random.default_rng(person + 100).normal(0, 1, base.shape), 2)


def triples(values: np.ndarray, flag: float) -> list[float]:
    """x, y and the flag of each keypoint in one list."""
    return np.column_stack([values, np.full(len(values), flag)]).ravel().tolist()


def box(values: np.ndarray) -> list[float]:
    """x, y, width, height of the extent."""
    return [*values.min(axis=0).tolist(), *np.round(np.ptp(values, axis=0), 2).tolist()]


def coco_truth(skeleton: str, count: int, *, parts: dict[str, int] | None = None, **image: object) -> dict[str, object]:
    """An annotation file in COCO's form; of parts in lists of their own where given."""
    people: list[dict[str, object]] = []
    for number in range(NUM_IMAGES * PEOPLE):
        values = points(count, number)
        entry: dict[str, object] = {
            "id": number + 1, "image_id": number // PEOPLE + 1, "category_id": 1, "bbox": box(values), "area": 9000.5, "iscrowd": 0,
            "num_keypoints": count,
        }  # fmt: skip
        people.append(entry | split_parts(values, 2, parts))
    images = [
        {"id": i + 1, "file_name": f"val/{i + 1:06d}.jpg", "width": SIZE_WH[0], "height": SIZE_WH[1], **image} for i in range(NUM_IMAGES)
    ]
    names = list(load_skeleton(skeleton).keypoints) if parts is None and count < 100 else []
    return {"images": images, "annotations": people, "categories": [{"id": 1, "name": "person", "keypoints": names}]}


def coco_results(count: int, parts: dict[str, int] | None = None) -> list[dict[str, object]]:
    """A result file in COCO's form."""
    return [
        {"image_id": n // PEOPLE + 1, "category_id": 1, "score": round(0.9 - 0.1 * n, 2)}
        | split_parts(points(count, n, noise=3.0), 0.8, parts)
        for n in range(NUM_IMAGES * PEOPLE)
    ]


def split_parts(values: np.ndarray, flag: float, parts: dict[str, int] | None) -> dict[str, object]:
    """Keypoint lists by key."""
    if parts is None:
        return {"keypoints": triples(values, flag)}
    ends = np.cumsum(list(parts.values()))[:-1]
    return {key: triples(own, flag) for key, own in zip(parts, np.split(values, ends), strict=True)}


def score_by(protocol: str) -> Callable[[Path], object]:
    """Reads a folder with ``truth`` and ``preds`` (files or folders) by scoring it."""

    def read(folder: Path) -> object:
        paths = [next(p for p in (folder / f"{name}.json", folder / name) if p.exists()) for name in ("truth", "preds")]
        return dict(score_files(protocol, *paths).score.metrics)

    return read


def annotations_of(format_name: str, skeleton: str) -> Callable[[Path], object]:
    """Reads ``truth`` as training does; what a check finds is an error."""

    def read(folder: Path) -> object:
        path = next(p for p in (folder / "truth.json", folder / "truth") if p.exists())
        found = read_format(format_name, path, folder / "images", split="train", skeleton=load_skeleton(skeleton))
        table = people_table(found)
        faults = (
            (table["nonfinite_keypoints"] > 0) | (table["unknown_visibilities"] > 0) | (table["bbox_min_side_px"] <= 0)
            | (table["area_px2"] <= 0) | (table["num_keypoints_difference"].fillna(0) != 0) | ~table["image_listed"]
            | (table["keypoint_outside_image_px"] > 8) | (table["bbox_outside_px"] > 8) | table["annotation_id"].duplicated()
            | (table["people_of_track"] > 1) | (table["people_of_pose"] > 1)
        )  # fmt: skip
        if faults.any() or found.images["image_id"].duplicated().any():
            raise DataError(f"{path}: a check finds a fault")
        poses, rows = found.people.poses, found.people.rows
        names = [Path(name).relative_to(folder).as_posix() for name in found.images["image_path"]]
        return [
            poses.keypoints.tolist(), poses.visibility.tolist(), poses.bbox_xyxy.tolist(), np.asarray(poses.area).tolist(),
            poses.track_ids.tolist(), rows[["image_id", "is_crowd", "image_width", "num_keypoints", "frame_index"]].values.tolist(), names,
        ]  # fmt: skip

    return read


def read_boxes(folder: Path) -> object:
    """Reads a detections file."""
    return read_detections(folder / "detections.json").to_numpy().tolist()


def read_tracks(folder: Path) -> object:
    """Reads a list of poses by tracking it."""
    for old in (folder / "out").glob("*.json") if (folder / "out").is_dir() else ():
        old.unlink()
    with contextlib.suppress(FileNotFoundError):
        track_files(TrackConfig(), folder / "poses.json", folder / "out")
    return [json.loads(path.read_text())["annotations"] for path in sorted((folder / "out").glob("*.json"))]


def read_mpii_scores(folder: Path) -> object:
    """Scores MPII's JSON list with its head boxes."""
    heads = np.tile(np.array([[60.0, 60], [90, 100]])[..., None], NUM_IMAGES * PEOPLE)
    scipy.io.savemat(folder / "gt_valid.mat", {"headboxes_src": heads, "jnt_missing": np.zeros((16, NUM_IMAGES * PEOPLE))})
    return score_by("mpii")(folder)


def mpii_people() -> list[dict[str, object]]:
    """MPII's list of people."""
    return [
        {"image": f"train/{n // PEOPLE + 1:09d}.jpg", "joints": points(16, n).tolist(), "joints_vis": [1] * 16,
         "center": points(16, n).mean(axis=0).round(2).tolist(), "scale": 0.8}
        for n in range(NUM_IMAGES * PEOPLE)
    ]  # fmt: skip


def mpii_groups(*, noise: float = 0.0) -> list[dict[str, object]]:
    """MPII's groups of people, or predictions of them."""
    return [
        {"group": n // PEOPLE, "keypoints": np.column_stack([points(16, n, noise=noise), np.ones(16)]).tolist(),
         **({} if noise else {"head_box": [10, 10, 40, 50]})}
        for n in range(NUM_IMAGES * PEOPLE)
    ]  # fmt: skip


def posetrack(name: str, *, noise: float = 0.0) -> dict[str, object]:
    """A video in PoseTrack's form of 2018, of skeleton posetrack17."""
    images = [
        {"id": 100 + t, "file_name": f"images/val/{name}/{t:06d}.jpg", "frame_id": 100 + t, "vid_id": "000001", "is_labeled": True,
         "ignore_regions_x": [[0, 9, 9, 0]], "ignore_regions_y": [[0, 0, 9, 9]]}
        for t in range(NUM_IMAGES)
    ]  # fmt: skip
    people = [
        {"id": 100 * t + p, "image_id": 100 + t, "category_id": 1, "track_id": p, "bbox": box(points(17, p)),
         "keypoints": triples(points(17, p, noise=noise) + 3 * t, 1),
         **({"scores": [0.9 - 0.01 * k for k in range(17)], "score": 0.7} if noise else {"bbox_head": [60, 60, 20, 25]})}
        for t in range(NUM_IMAGES) for p in range(PEOPLE)
    ]  # fmt: skip
    names = list(load_skeleton("posetrack17").keypoints)
    return {"images": images, "annotations": people, "categories": [{"id": 1, "name": "person", "keypoints": names}]}


def posetrack_2017(name: str, *, noise: float = 0.0) -> dict[str, object]:
    """A video in PoseTrack's form of 2017."""
    entries = []
    for t in range(NUM_IMAGES):
        people = [
            {"track_id": [p], "x1": [60], "y1": [60], "x2": [80], "y2": [85], "score": [0.9 - 0.1 * p],
             "annopoints": [{"point": [
                 {"id": [k], "x": [x], "y": [y], "is_visible": [1], "score": [0.9 - 0.01 * k]}
                 for k, (x, y) in enumerate((points(15, p, noise=noise) + 3 * t).tolist())
             ]}]}
            for p in range(PEOPLE)
        ]  # fmt: skip
        entries.append({"image": [{"name": f"images/val/{name}/{t:06d}.jpg"}], "imgnum": [t + 1], "is_labeled": [1], "annorect": people,
                        "ignore_regions": [{"point": [{"x": [x], "y": [y]} for x, y in ((0, 0), (9, 0), (9, 9))]}]})  # fmt: skip
    return {"annolist": entries}


def pose_list() -> list[dict[str, object]]:
    """Poses as AlphaPose writes them: images by name, the box under ``box``."""
    return [
        {"image_id": f"clip/{t:06d}.jpg", "category_id": 1, "keypoints": triples(points(17, p) + 3 * t, 0.9), "score": 2.5,
         "box": [float(v) for v in box(points(17, p))]}
        for t in range(NUM_IMAGES) for p in range(PEOPLE)
    ]  # fmt: skip


def mot_lines(shift: int) -> str:
    """A MOT text file."""
    rows = [(t + 1, p + 1, 40 + 150 * p + shift, 50 + t, 60, 160, 1, 1, 1) for t in range(NUM_IMAGES) for p in range(PEOPLE)]
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


WHOLEBODY = {"keypoints": 17, "foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}
DETECTIONS = [{"image_id": n // PEOPLE + 1, "category_id": 1, "bbox": box(points(17, n)), "score": 0.9} for n in range(NUM_IMAGES * PEOPLE)]
VIDEOS = ("000001_a", "000002_b")

FORMS: dict[str, Form] = {
    "coco scored": Form({"truth.json": coco_truth("coco17", 17), "preds.json": coco_results(17)}, score_by("coco")),
    "coco annotations": Form({"truth.json": coco_truth("coco17", 17)}, annotations_of("coco", "coco17")),
    "crowdpose scored": Form(
        {"truth.json": coco_truth("crowdpose14", 14, crowdIndex=0.5), "preds.json": coco_results(14)}, score_by("crowdpose")
    ),
    "crowdpose annotations": Form(
        {"truth.json": coco_truth("crowdpose14", 14, crowdIndex=0.5)}, annotations_of("crowdpose", "crowdpose14")
    ),
    "halpe scored": Form({"truth.json": coco_truth("halpe26", 26), "preds.json": coco_results(26)}, score_by("halpe")),
    "halpe annotations": Form({"truth.json": coco_truth("halpe26", 26)}, annotations_of("halpe", "halpe26")),
    "wholebody scored": Form(
        {"truth.json": coco_truth("wholebody133", 133, parts=WHOLEBODY), "preds.json": coco_results(133, WHOLEBODY)},
        score_by("coco-wholebody"),
    ),
    "wholebody annotations": Form(
        {"truth.json": coco_truth("wholebody133", 133, parts=WHOLEBODY)}, annotations_of("coco-wholebody", "wholebody133")
    ),
    "detections": Form({"detections.json": DETECTIONS}, read_boxes),
    "mpii scored": Form(
        {"truth.json": mpii_people(), "preds.json": {"preds": [points(16, n, noise=3.0).tolist() for n in range(NUM_IMAGES * PEOPLE)]}},
        read_mpii_scores,
    ),
    "mpii annotations": Form({"truth.json": mpii_people()}, annotations_of("mpii", "mpii16")),
    "mpii-multi scored": Form({"truth.json": mpii_groups(), "preds.json": mpii_groups(noise=3.0)}, score_by("mpii-multi")),
    "posetrack scored": Form(
        {f"truth/{name}.json": posetrack(name) for name in VIDEOS} | {f"preds/{name}.json": posetrack(name, noise=3.0) for name in VIDEOS},
        score_by("posetrack"), folders=("truth", "preds"),
    ),
    "posetrack 2017 scored": Form(
        {f"truth/{name}.json": posetrack_2017(name) for name in VIDEOS}
        | {f"preds/{name}.json": posetrack_2017(name, noise=3.0) for name in VIDEOS},
        score_by("posetrack"), folders=("truth", "preds"),
    ),
    "posetrack annotations": Form(
        {f"truth/{name}.json": posetrack(name) for name in VIDEOS[:1]}, annotations_of("posetrack", "posetrack17"), folders=("truth",)
    ),
    "tracked poses": Form({"poses.json": pose_list()}, read_tracks),
    "mot scored": Form({"truth/a.txt": mot_lines(0), "preds/a.txt": mot_lines(9)}, score_by("mot"), folders=("truth", "preds")),
}  # fmt: skip
