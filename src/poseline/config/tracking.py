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
    """Linking a pose to a lost track whose expected box it does not overlap, as far as the motion's uncertainty reaches."""

    enabled: bool = True
    min_similarity: float = Field(default=0.5, ge=0, le=1, description="least probability of such a pair")


class AppearanceConfig(Section):
    """Appearance embeddings of people, from the frames. Without frames they are left out."""

    kind: Literal["none", "colour", "onnx"] = "colour"
    onnx: str | None = Field(default=None, description="re-identification network: [N, 3, H, W] RGB in, [N, D] out")
    weight: float = Field(default=8.0, ge=0, description="evidence for a pair per unit of cosine above the neutral one")
    neutral: float = Field(default=0.75, ge=-1, le=1, description="cosine that speaks neither for nor against a pair")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="of a track's running mean; 0.9 as in JDE and BoT-SORT")
    bins: int = Field(default=6, ge=2, le=16, description="colour: bins of each opponent-colour axis")

    @model_validator(mode="after")
    def _network(self) -> AppearanceConfig:
        if self.kind == "onnx" and not self.onnx:
            raise ValueError("appearance kind 'onnx' needs the network's file in 'onnx'")
        return self


class ByteposeConfig(Section):
    """The default tracker: Kalman filter on box and keypoints, association by likelihood ratio, tracks confirmed by evidence.

    Each pair of track and pose gets a log-likelihood ratio: the pose is this person's next sighting, against a false positive or a
    new person. Times are in seconds, lengths in person sizes (root of the box area). Chosen on eight real sequences of trajectories
    and on drawn videos; see docs/tracking.md.
    """

    high_score: float = Field(default=0.2, ge=0, description="poses below never start a track, whatever the stream's scores")
    relative_score: float = Field(
        default=0.7, ge=0, description="poses at this fraction of the stream's 90 % quantile of scores are as likely people as not"
    )
    start_odds: float = Field(default=-0.5, description="least log odds of being a person, by its score, of a pose that starts a track")
    score_slope: float = Field(default=5.0, ge=0, description="log odds of being a person, per unit of score over that score")
    match_threshold: float = Field(default=0.5, ge=0, le=1, description="least probability of a pair, poses of high score")
    low_match_threshold: float = Field(default=0.5, ge=0, le=1, description="the same for poses that could not start a track")
    oks_weight: float = Field(default=3.0, ge=0, description="evidence for a pair of OKS 1 against OKS 0.5")
    sigma_scale: float = Field(
        default=1.5, gt=0, description="factor on the OKS sigmas at first; then as wide as the stream's keypoints scatter"
    )
    min_keypoint_score: float | tuple[float, ...] = Field(default=0.2, description="one for all keypoints, or one for each")
    max_lost_seconds: float = Field(default=1.2, ge=0, description="a track unseen for longer ends; its id is never used again")
    lost_cost: float = Field(default=5.0, ge=0, description="evidence that a pair loses per second unseen: the person may be gone")
    confirm_evidence: float = Field(default=1.0, description="log odds of being a person from which a track is shown")
    confirm_hits: int = Field(default=3, ge=1, description="and from this sighting on at the earliest, but for a video's first tracks")
    duplicate_similarity: float = Field(default=0.7, gt=0, le=1, description="a pose this close to a tracked one starts no track")
    max_tracks: int = Field(default=1000, ge=1, description="the longest lost are dropped beyond")
    clutter_density: float = Field(
        default=0.01, gt=0, description="false positives and new people per frame, person size squared and log side squared"
    )
    degrees_of_freedom: float = Field(default=3.0, gt=0, description="of the t distribution of the motion; large: a normal one")
    acceleration: float = Field(default=7.5, gt=0, description="process noise, person sizes per second squared")
    start_speed: float = Field(default=2.5, gt=0, description="standard deviation of a new track's speed, person sizes per second")
    box_noise: float = Field(default=0.06, gt=0, description="measurement noise, fraction of the box's width and height")
    keypoint_noise: float = Field(default=0.04, gt=0, description="the same in person sizes for a keypoint of score 1 and mean sigma")
    max_noise_scale: float = Field(
        default=2.0, ge=1, description="the stream's own noise is measured, and lies within this factor of the configured one; 1: fixed"
    )
    lost_velocity_seconds: float = Field(default=0.8, gt=0, description="a lost track's velocity dies away in this time (to 1/e)")
    pose_velocity_seconds: float = Field(default=0.11, gt=0, description="the same of the limbs' velocity against the box, always")
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


class OfflineConfig(Section):
    """After the whole clip: tracks are cut at their gaps, the parts joined by one assignment, short gaps filled (marked)."""

    enabled: bool = False
    cut_seconds: float = Field(default=0.4, ge=0, description="tracks unseen for longer are cut there and joined anew")
    max_gap_seconds: float = Field(default=3.0, gt=0, description="parts further apart are never joined")
    gap_cost: float = Field(default=1.0, ge=0, description="evidence that a pair of parts loses per second between them")
    speed_noise: float = Field(default=0.7, gt=0, description="standard deviation of the speed in the gap, person sizes per second")
    clutter_density: float = Field(
        default=0.01, gt=0, description="other people who could start there, per person size squared and log side squared"
    )
    fill_seconds: float = Field(default=1.0, ge=0, description="gaps up to this long are filled by interpolation; 0: none")


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
    frames_per_second: float = Field(
        default=25.0, gt=0, description="of the videos, where neither the file nor the video tells it (--fps goes before both)"
    )
    min_pose_score: float = Field(default=0.2, ge=0, description="poses below are not given to any tracker")
    min_keypoint_score: float = Field(default=0.2, ge=0, description="keypoints below are left out of the tracking submission")
    bytepose: ByteposeConfig = ByteposeConfig()
    poseflow: PoseflowConfig = PoseflowConfig()
    poseflow_published: PoseflowPublishedConfig = PoseflowPublishedConfig()
    offline: OfflineConfig = OfflineConfig()
    smoothing: SmoothingConfig = SmoothingConfig()
    video: bool = Field(default=False, description="also write every tracked video as mp4 with coloured ids")

    @property
    def options(self) -> Section:
        """The options of the configured kind."""
        options: Section = getattr(self, self.kind)
        return options
