"""Section ``track`` of params.yaml: which tracker, and one sub-section for each kind."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from poseline.config.base import KindSection, Section
from poseline.kinds import Kinds

TRACKERS = Kinds(
    "poseline.trackers",
    {
        "bytepose": "poseline.track.bytepose:BytePoseTracker",
        "poseflow": "poseline.track.poseflow:PoseFlow",
        "poseflow_published": "poseline.track.poseflow_published:PublishedPoseFlow",
    },
)


class RelinkConfig(Section):
    """Linking a pose to a lost track that it no longer overlaps: by distance, size and appearance."""

    enabled: bool = True
    reach: float = Field(
        default=1.0, ge=0, description="allowed distance from the expected place one frame after the loss, in person sizes"
    )
    reach_growth: float = Field(default=0.1, ge=0, description="added to the reach for each further frame lost")
    max_reach: float = Field(default=2.5, ge=0, description="the reach never grows beyond")
    min_similarity: float = Field(default=0.45, ge=0, le=1, description="mean of nearness, size and (where frames are given) appearance")
    min_appearance: float = Field(default=0.7, ge=0, le=1, description="cosine; required wherever appearance is known on both sides")


class AppearanceConfig(Section):
    """Appearance embeddings of people, from the frames. Without frames they are left out."""

    kind: Literal["none", "colour", "onnx"] = "colour"
    onnx: str | None = Field(default=None, description="re-identification network: [N, 3, H, W] RGB in, [N, D] out")
    weight: float = Field(default=0.25, ge=0, le=1, description="weight in the similarity")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="of a track's running mean; 0.9 as in JDE and BoT-SORT")
    bins: int = Field(default=6, ge=2, le=16, description="colour: bins of each opponent-colour axis")

    @model_validator(mode="after")
    def _network(self) -> AppearanceConfig:
        if self.kind == "onnx" and not self.onnx:
            raise ValueError("appearance kind 'onnx' needs the network's file in 'onnx'")
        return self


class ByteposeConfig(Section):
    """The default tracker: Kalman filter on box and keypoints, association of high-score and then of low-score poses.

    The order of association is ByteTrack's (Zhang et al., ECCV 2022). Its similarity here is OKS beside box IoU; the noise figures are
    fractions of a person's size (root of the box area) and ours. ``high_score`` was found by `track tune` on 40 drawn training videos.
    """

    high_score: float = Field(default=0.25, ge=0, description="poses at or above may start a track and are associated first")
    match_threshold: float = Field(default=0.15, ge=0, le=1, description="least similarity of a pair, poses of high score")
    low_match_threshold: float = Field(default=0.35, ge=0, le=1, description="the same for poses of low score")
    oks_weight: float = Field(default=0.4, ge=0, le=1, description="OKS against box IoU in the similarity")
    sigma_scale: float = Field(default=1.5, gt=0, description="factor on the OKS sigmas: a person moves between frames")
    min_keypoint_score: float | tuple[float, ...] = Field(default=0.2, description="one for all keypoints, or one for each")
    max_lost_frames: int = Field(default=30, ge=0, description="a track unseen for longer ends; its id is never used again")
    confirm_hits: int = Field(default=1, ge=1, description="a track shows from this sighting on")
    duplicate_similarity: float = Field(default=0.7, gt=0, le=1, description="a pose this close to a tracked one starts no track")
    max_tracks: int = Field(default=1000, ge=1, description="the longest lost are dropped beyond")
    acceleration: float = Field(default=0.04, gt=0, description="process noise, person sizes per frame²")
    box_noise: float = Field(default=0.04, gt=0, description="measurement noise, person sizes")
    keypoint_noise: float = Field(default=0.04, gt=0, description="the same for a keypoint of score 1 and mean sigma")
    lost_damping: float = Field(default=0.95, ge=0, le=1, description="factor on the velocity for each frame lost")
    pose_damping: float = Field(default=0.7, ge=0, le=1, description="factor on the limbs' velocity (against the box) for each frame")
    camera_motion: Literal["none", "sparse"] = "sparse"
    appearance: AppearanceConfig = AppearanceConfig()
    relink: RelinkConfig = RelinkConfig()


class PoseflowConfig(Section):
    """Pose Flow as published (Xiu et al., BMVC 2018), made online.

    The paper gives the form of the distances, and joint boxes of 10 % of the person's box. It does not give epsilon, gamma, the window and
    the flow distance's threshold, which were fitted to mini's training videos (on poses simulated from the ground truth), nor
    ``start_score`` (fitted to a trained model's poses; ``track tune`` repeats it). The constants of the distance are those of the published
    parametric pose NMS (RMPE, ICCV 2017), which the paper's distance repeats. ``link_weight`` and ``velocity`` are not in the paper;
    0 and false give its objective.
    """

    window: int = Field(default=12, ge=2, description="frames over which a flow's confidence is maximised")
    correspondence: Literal["none", "lk", "dis", "orb"] = "none"
    joint_box: float = Field(default=0.1, gt=0, description="side of a joint's box over the person's (paper: 0.1), with correspondences")
    joint_box_poses: float = Field(default=0.3, gt=0, description="the same without correspondences")
    epsilon: float = Field(default=0.08, ge=0, le=1, description="least inter-frame similarity of two poses that may follow each other")
    box_weight: float = Field(default=1.0, ge=0, description="weight of the box score in a pose's confidence")
    max_weight: float = Field(default=1.25, ge=0, description="weight of the best keypoint in a pose's confidence (published code: 1.25)")
    link_weight: float = Field(default=8.0, ge=0, description="weight of the inter-frame similarity in the objective; paper: 0")
    velocity: bool = Field(default=True, description="without correspondences: a pose is expected where its flow's last step leads")
    gain_frames: int = Field(default=3, ge=1, description="r: a flow stops where its confidence gains too little over r frames")
    min_gain: float = Field(default=0.2, ge=0, description="gamma: the least gain over r frames")
    keypoint_sigma: float = Field(default=1.0, gt=0, description="sigma1 of K_sim (pose NMS delta1)")
    distance_sigma_px: float = Field(default=2.65, gt=0, description="sigma2 of H_sim at the reference size (pose NMS delta2)")
    reference_size_px: float = Field(default=64.0, gt=0, description="person size at which sigma2 holds; it grows with the person")
    distance_weight: float = Field(default=1.7, ge=0, description="lambda (pose NMS mu)")
    flow_distance: float = Field(default=12.0, ge=0, description="flows nearer than this (median over shared frames) are one person's")
    relink_frames: int = Field(default=30, ge=0, description="a flow is taken up again within so many frames")
    relink_growth: float = Field(
        default=0.03, ge=0, description="boxes grow by this fraction of a side for each frame unseen, at most by half"
    )
    relink_overlap: float = Field(default=0.27, ge=0, le=1, description="least box IoU with the place where the ended flow was led on")
    min_keypoint_score: float = Field(default=0.2, ge=0, description="keypoints below take no part in the inter-frame similarity")
    start_score: float = Field(default=0.35, ge=0, description="a flow starts at a pose of at least this score")
    orb_features: int = Field(default=2000, ge=100)
    orb_ratio: float = Field(default=0.8, gt=0, le=1)


class PoseflowPublishedConfig(Section):
    """The public PoseFlow code's per-frame matching with its constants."""

    correspondence: Literal["none", "orb"] = "orb"
    link_frames: int = Field(default=100, ge=1)
    num_keypoints: int = Field(default=7, ge=1, description="best joint windows averaged in the pose terms")
    window_px: int = Field(default=30, ge=1, description="half side of a joint's window")
    match_threshold: float = Field(default=0.2, ge=0)
    weights: tuple[float, float, float, float] = Field(default=(1, 2, 1, 2), description="tracks seen one frame ago")
    old_weights: tuple[float, float, float, float] = Field(default=(0, 1, 0, 1), description="tracks seen longer ago")
    orb_features: int = Field(default=10000, ge=100)
    orb_ratio: float = Field(default=0.8, gt=0, le=1)


class SmoothingConfig(Section):
    """Keypoint smoothing along each track after tracking; ids stay as they are."""

    kind: Literal["none", "one_euro", "savgol", "butterworth"] = "none"
    min_cutoff: float = Field(default=0.15, gt=0, description="one-euro: cut-off of a still keypoint, cycles per frame")
    beta: float = Field(default=3.0, ge=0, description="one-euro: cut-off added per person size per frame of speed")
    derivative_cutoff: float = Field(default=0.3, gt=0, description="one-euro: cut-off of the speed, cycles per frame")
    savgol_window: int = Field(default=7, ge=3, description="Savitzky-Golay: odd number of frames (offline)")
    savgol_order: int = Field(default=2, ge=0)
    butterworth_cutoff: float = Field(default=0.2, gt=0, lt=0.5, description="Butterworth: cycles per frame, 0.2 is 6 Hz at 30 (offline)")
    butterworth_order: int = Field(default=2, ge=1, le=8, description="Butterworth: of one pass; it runs forwards and backwards")

    @model_validator(mode="after")
    def _window(self) -> SmoothingConfig:
        if self.savgol_window % 2 == 0 or self.savgol_order >= self.savgol_window:
            raise ValueError(f"savgol_window must be odd and above savgol_order, got {self.savgol_window} and {self.savgol_order}")
        return self


class TrackConfig(KindSection):
    """Tracking of predicted poses in videos."""

    kinds: ClassVar[Kinds] = TRACKERS
    sets: tuple[str, ...] = Field(default=("posetrack",), description="names of the data.sets of videos to track")
    kind: str = "bytepose"
    min_pose_score: float = Field(default=0.2, ge=0, description="poses below are not given to any tracker")
    min_keypoint_score: float = Field(default=0.2, ge=0, description="keypoints below are left out of the tracking submission")
    bytepose: ByteposeConfig = ByteposeConfig()
    poseflow: PoseflowConfig = PoseflowConfig()
    poseflow_published: PoseflowPublishedConfig = PoseflowPublishedConfig()
    smoothing: SmoothingConfig = SmoothingConfig()
    video: bool = Field(default=False, description="also write every tracked video as mp4 with coloured ids")

    @property
    def options(self) -> Section:
        """The options of the configured kind."""
        options: Section = getattr(self, self.kind)
        return options
