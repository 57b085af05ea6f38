"""Stage track: ids for the predicted poses of a set of videos, and both submissions in PoseTrack18 format."""

from __future__ import annotations

import sys

from poseline.artifacts import Layout, PoseTable, TableHeader, atomic_folder, read_json, read_poses, write_json, write_poses
from poseline.artifacts.freshness import OnStale, made_from, refuse_stale
from poseline.config import Params, config_hash
from poseline.datasets.formats import check_skeleton
from poseline.datasets.frame_order import describe_videos
from poseline.datasets.posetrack.files import write_sequence
from poseline.datasets.sets import dataset_config, split_files
from poseline.infer.video import write_video
from poseline.progress import follow, warn
from poseline.project import located
from poseline.track.build import track_video
from poseline.track.videos import frame_poses, list_videos, pose_submission, tabulate_tracks, track_submission


def run(params: Params, layout: Layout, name: str, *, on_stale: OnStale = "ignore") -> dict[str, int]:
    """Counts, after writing tracked/ (MOTA submission), poses/ (mAP submission), tracks.parquet and about.json to data/tracks/NAME.

    ``tracked`` holds the tracker's poses without keypoints below ``track.min_keypoint_score``; ``poses`` holds every predicted pose and
    keypoint. Ids count from 0 in each video and are the same in the files, the table and the mp4 files of ``track.video``.

    Raises:
        StaleError: the predictions were made by other parameters or files than those of now, and that is to be refused.
    """
    config = dataset_config(params.data, name)
    made = made_from("track", params, layout, [layout.predictions / name / "poses.parquet"], name=name)
    about = read_json(layout.predictions / name / "about.json", made_by=f"predict {name}")
    stale = refuse_stale("predict", params, layout, name, on_stale=on_stale)
    if not about["enabled"]:
        with atomic_folder(layout.tracks / name) as folder:
            write_json(folder / "about.json", {"enabled": False, "made_from": made})
        return {}
    source = layout.predictions / name / "poses.parquet"
    table, header = read_poses(source, kind="predictions", made_by=f"predict {name}")
    skeleton = check_skeleton(params.data, name, header.skeleton, path=source, made_by=f"predict {name}")
    boxes = "ground_truth" if config.detections is None else "detections"
    poses = table.where(boxes=boxes)
    part, path = split_files(config, "val", name=name)
    videos = list_videos(path, located(part.images))
    for line in describe_videos({video.sequence.name: video.frame_indices for video in videos}):
        print(f"track: {name}: {line}", file=sys.stderr)
    tables: list[PoseTable] = []
    with atomic_folder(layout.tracks / name) as folder:
        for video in follow(videos, "tracks", total=len(videos), unit="videos"):
            file, predicted = f"{video.sequence.name}.json", frame_poses(video, poses)
            tracked = track_video(params.track, skeleton, predicted, frame_indices=video.frame_times, images=video.read_images())
            submission, tracked = track_submission(video.sequence, tracked, min_keypoint_score=params.track.min_keypoint_score)
            write_sequence(folder / "poses" / file, pose_submission(video.sequence, predicted))
            write_sequence(folder / "tracked" / file, submission)
            tables.append(tabulate_tracks(video, tracked, num_keypoints=skeleton.num_keypoints))
            if params.track.video:
                write_video(folder / "videos" / f"{video.sequence.name}.mp4", tracked, video.read_images(), skeleton)
        tracks = PoseTable.concat(tables)
        if len(poses) and not len(tracks):
            least, best = params.track.min_pose_score, float(poses.poses.pose_scores.max())
            warn(
                f"none of {len(poses)} poses became a track; the best scores {best:.3g}, track.min_pose_score is {least:g}. "
                f"Lower it, and the least scores of track.{params.track.kind}; or train longer."
            )
        write_poses(folder / "tracks.parquet", tracks, TableHeader("tracks", skeleton.name, config_hash(params.track), header.source_hash))
        write_json(folder / "about.json", {**about, "boxes": boxes, "tracker": params.track.kind, "made_from": made, "stale": stale})
    ids = tracks.rows.assign(track_id=tracks.poses.track_ids)[["video_id", "track_id"]].drop_duplicates()
    return {"videos": len(videos), "poses": len(tracks), "tracks": len(ids)}
