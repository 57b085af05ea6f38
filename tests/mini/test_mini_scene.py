"""Drawn people: poses within limits, labels that follow from what was drawn."""

from __future__ import annotations

import numpy as np
import pytest

from poseline.core.skeletons import load_skeleton
from poseline.mini.actions import ACTION_WEIGHTS, angles_at, draw_motion
from poseline.mini.anatomy import LIMITS_DEG, Angles, draw_build, pose_body
from poseline.mini.backdrop import draw_backdrop
from poseline.mini.camera import Camera
from poseline.mini.figure import Figure, draw_figure
from poseline.mini.look import draw_look
from poseline.mini.paper import Paper
from poseline.mini.scene import STYLES, Person, draw_scene, label_person

NAMES = load_skeleton("union21").keypoints
CAMERA = Camera(320.0, (159.5, 119.5), 1.3, 0.05)
LIGHT = np.array([-0.5, -0.6, -0.62], np.float32)


def draw_person(yaw_deg: float, *, angles: Angles | None = None, at: float = 0.0) -> Figure:
    """A person of a fixed build three metres away."""
    rng = np.random.default_rng(5)
    build = draw_build(rng)
    body = CAMERA.place(pose_body(build, angles or Angles()), (at, 3.2), yaw_deg)
    figure = draw_figure(body, build, draw_look(rng), camera=CAMERA, light=LIGHT, image_wh=(320, 240))
    assert figure is not None
    return figure


def lay(*figures: Figure) -> tuple[Paper, list[Person]]:
    """The figures on an empty image, in order, and their labels."""
    paper = Paper.blank((320, 240))
    pixels = [paper.figure(figure, number) for number, figure in enumerate(figures, start=1)]
    people = [label_person(paper, figure, k + 1, pixels[k]) for k, figure in enumerate(figures)]
    return paper, [person for person in people if person is not None]


def x_of(figure: Figure, name: str) -> float:
    return float(figure.keypoints[NAMES.index(name), 0])


def visibility(person: Person, name: str) -> int:
    return int(person.visibility[NAMES.index(name)])


@pytest.mark.parametrize("joint", ["shoulder", "hip", "knee", "eye", "ear"])
def test_left_is_on_the_right_of_the_image_when_facing_the_camera(joint: str) -> None:
    front, back = draw_person(0), draw_person(180)
    assert x_of(front, f"left_{joint}") > x_of(front, f"right_{joint}")
    assert x_of(back, f"left_{joint}") < x_of(back, f"right_{joint}")


def test_face_is_unlabelled_from_behind_and_seen_from_the_front() -> None:
    _, (front,) = lay(draw_person(0))
    _, (back,) = lay(draw_person(180))
    for name in ("nose", "left_eye", "right_eye"):
        assert visibility(front, name) == 2
        assert visibility(back, name) == 0
    assert visibility(front, "pelvis") == visibility(back, "pelvis") == 2


def test_the_body_hides_its_far_side() -> None:
    # At yaw 90 the front points to the right of the image: the right side is the near one.
    _, (person,) = lay(draw_person(90, angles=Angles(shoulder_abduct=(2, 2), elbow=(5, 5))))
    assert visibility(person, "left_hip") == 1
    assert visibility(person, "left_shoulder") == 1
    assert visibility(person, "right_hip") == 2
    assert visibility(person, "right_shoulder") == 2


def test_an_obstacle_hides_what_lies_under_it() -> None:
    figure = draw_person(0)
    paper = Paper.blank((320, 240))
    pixels = paper.figure(figure, 1)
    knees = float(figure.keypoints[NAMES.index("left_knee"), 1])
    paper.box(0, knees - 8, 320, knees + 8, np.array([90, 90, 90]), 2)
    person = label_person(paper, figure, 1, pixels)
    assert person is not None
    assert visibility(person, "left_knee") == visibility(person, "right_knee") == 1
    assert visibility(person, "left_hip") == visibility(person, "left_ankle") == 2
    assert person.area < pixels
    assert 0.7 < person.visible_fraction < 1


def test_who_stands_in_front_hides_who_stands_behind() -> None:
    back, front = draw_person(0), draw_person(0, at=0.12)
    _, people = lay(back, front)
    assert people[1].visible_fraction == 1
    assert people[0].visible_fraction < 0.6
    assert (people[0].visibility == 1).sum() > (people[1].visibility == 1).sum()


def test_hardly_visible_people_lose_their_keypoints_and_then_their_label() -> None:
    figure = draw_person(0)
    head = figure.head_xyxy
    for row, expected in ((head[1] + 0.6 * (head[3] - head[1]), 1), (0.0, 0)):
        paper = Paper.blank((320, 240))
        pixels = paper.figure(figure, 1)
        paper.box(-2, row, 322, 242, np.zeros(3), 2)
        person = label_person(paper, figure, 1, pixels)
        assert (person is not None) == bool(expected)
        if person is not None:
            assert not person.visibility.any()
            assert person.area > 0


def test_keypoints_outside_the_image_are_unlabelled() -> None:
    _, (person,) = lay(draw_person(0, at=1.55))
    outside = person.keypoints[:, 0] > 319.5
    assert outside.any()
    assert not person.visibility[outside].any()


@pytest.mark.parametrize("action", list(ACTION_WEIGHTS))
def test_poses_keep_joint_limits_and_bone_lengths(action: str) -> None:
    rng = np.random.default_rng(1)
    build = draw_build(rng)
    motion = draw_motion(rng, action)  # type: ignore[arg-type]
    for phase in (0.0, 0.3, 0.8):
        angles = angles_at(motion, phase)
        for name, (low, high) in LIMITS_DEG.items():
            assert low <= np.min(getattr(angles, name))
            assert np.max(getattr(angles, name)) <= high
        points = pose_body(build, angles).points
        assert np.linalg.norm(points["left_knee"] - points["left_hip"]) == pytest.approx(build.thigh)
        assert np.linalg.norm(points["right_wrist"] - points["right_elbow"]) == pytest.approx(build.forearm)
        assert min(point[1] for point in points.values()) > -0.12


@pytest.mark.parametrize("style", ["coco", "mpii"])
def test_labels_of_images_lie_where_the_people_are(style: str) -> None:
    seen, hits = 0, 0
    for index in range(6):
        scene = draw_scene(np.random.default_rng((9, index)), STYLES[style], image_wh=(320, 240), max_people=6)
        assert scene.image.std() > 10
        for person in scene.people:
            x, y, w, h = person.bbox_xywh
            assert person.mask.any(axis=1)[[0, -1]].all()
            assert person.mask.any(axis=0)[[0, -1]].all()
            labelled = person.keypoints[person.visibility == 2]
            assert (labelled >= [x - 6, y - 6]).all()
            assert (labelled <= [x + w + 6, y + h + 6]).all()
            columns = np.clip(np.rint(labelled[:, 0]).astype(int) - x, 0, w - 1)
            rows = np.clip(np.rint(labelled[:, 1]).astype(int) - y, 0, h - 1)
            seen, hits = seen + len(labelled), hits + int(person.mask[rows, columns].sum())
    assert seen > 50
    assert hits > 0.93 * seen


def test_a_crowd_is_a_mask_without_people() -> None:
    style = STYLES["coco"].__class__((1.0,), (80, 200), 0.0, 0.0, 0.3, 0.0, 1.0)
    scene = draw_scene(np.random.default_rng(2), style, image_wh=(320, 240), max_people=6)
    assert not scene.people
    assert len(scene.crowds) == 1
    assert scene.crowds[0].sum() > 200


def test_backdrops_differ_and_own_nothing() -> None:
    papers = [draw_backdrop(np.random.default_rng(seed), (320, 240), 100.0) for seed in range(4)]
    assert all(not paper.owner.any() for paper in papers)
    assert all(np.abs(papers[0].image.astype(int) - other.image).mean() > 5 for other in papers[1:])
