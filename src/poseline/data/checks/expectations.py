"""The expectations on annotations, each with a name and a fixed severity. Importing this costs seconds: Great Expectations loads."""

from __future__ import annotations

import great_expectations.expectations as gxe

from poseline.config import ValidateConfig


class ExpectUniqueAnnotationIds(gxe.ExpectColumnValuesToBeUnique):
    """No annotation id occurs twice."""

    column: str = "annotation_id"
    description: str = "annotation ids are unique"


class ExpectListedImage(gxe.ExpectColumnValuesToBeInSet):
    """Each person's picture is among the file's pictures."""

    column: str = "image_listed"
    value_set: list[bool] = [True]  # noqa: RUF012 - a pydantic field
    description: str = "each person's image_id is among the file's pictures"


class ExpectPositiveBox(gxe.ExpectColumnValuesToBeBetween):
    """Each box has finite corners and a width and height above 0."""

    column: str = "bbox_min_side_px"
    min_value: float = 0
    strict_min: bool = True
    description: str = "boxes are finite, with width and height above 0 px (-1: not finite)"


class ExpectBboxTouchesImage(gxe.ExpectColumnValuesToBeBetween):
    """Each box overlaps its picture."""

    column: str = "bbox_inside_share"
    min_value: float = 0
    strict_min: bool = True
    description: str = "boxes overlap their picture (share of the box inside)"


class ExpectBboxInsideImage(gxe.ExpectColumnValuesToBeBetween):
    """Each box lies inside its picture."""

    column: str = "bbox_outside_px"
    severity: str = "warning"


class ExpectPositiveArea(gxe.ExpectColumnValuesToBeBetween):
    """Each person has an area above 0."""

    column: str = "area_px2"
    min_value: float = 0
    strict_min: bool = True
    description: str = "areas are above 0 px² (-1: missing or not finite)"


class ExpectKeypointsFinite(gxe.ExpectColumnValuesToBeBetween):
    """No keypoint is NaN or infinite."""

    column: str = "nonfinite_keypoints"
    max_value: float = 0
    description: str = "keypoints are finite numbers (count of those that are not)"


class ExpectVisibilityInRange(gxe.ExpectColumnValuesToBeBetween):
    """Visibility flags are 0, 1 or 2."""

    column: str = "unknown_visibilities"
    max_value: float = 0
    description: str = "visibility flags are 0, 1 or 2 (count of others)"


class ExpectNumKeypointsConsistent(gxe.ExpectColumnValuesToBeBetween):
    """num_keypoints is the number of labelled keypoints."""

    column: str = "num_keypoints_difference"
    min_value: float = 0
    max_value: float = 0
    severity: str = "warning"
    description: str = "num_keypoints equals the number of labelled keypoints (difference)"


class ExpectKeypointsInsideImage(gxe.ExpectColumnValuesToBeBetween):
    """Labelled keypoints lie inside the picture."""

    column: str = "keypoint_outside_image_px"
    severity: str = "warning"


class ExpectKeypointsNearBox(gxe.ExpectColumnValuesToBeBetween):
    """Labelled keypoints lie in or near the person's box."""

    column: str = "keypoint_outside_box"
    severity: str = "warning"


class ExpectHeadBoxPresent(gxe.ExpectColumnValuesToBeBetween):
    """Every labelled person of a still has a head box, without which PCKh has no unit."""

    column: str = "head_min_side_px"
    min_value: float = 0
    strict_min: bool = True
    description: str = "labelled people have a head box, which PCKh needs (-1: none)"


class ExpectVideoHeadBoxPresent(gxe.ExpectColumnValuesToBeBetween):
    """Every labelled person of a video has a head box; the official files lack some."""

    column: str = "video_head_min_side_px"
    min_value: float = 0
    strict_min: bool = True
    severity: str = "warning"
    description: str = "labelled people of videos have a head box, which the tracking measures need (-1: none)"


class ExpectLeftRightPlausible(gxe.ExpectColumnValuesToBeBetween):
    """Shoulders and hips run the same way."""

    column: str = "left_right_cosine"
    min_value: float = -0.5
    severity: str = "warning"
    description: str = "left and right of shoulders and hips agree (cosine between their lines above -0.5)"


class ExpectUniqueTrackIdsInFrame(gxe.ExpectColumnValuesToBeBetween):
    """No track id occurs twice in a frame."""

    column: str = "people_of_track"
    max_value: float = 1
    description: str = "a track id occurs once a frame (number of people with it)"


class ExpectDistinctPoses(gxe.ExpectColumnValuesToBeBetween):
    """No pose is annotated twice in a picture."""

    column: str = "people_of_pose"
    max_value: float = 1
    severity: str = "warning"
    description: str = "no two people of a picture have the same keypoints (number of people with them)"


class ExpectUniqueImageIds(gxe.ExpectColumnValuesToBeUnique):
    """No picture id occurs twice."""

    column: str = "image_id"
    description: str = "picture ids are unique"


class ExpectImageExists(gxe.ExpectColumnValuesToBeInSet):
    """Each picture's file exists."""

    column: str = "image_exists"
    value_set: list[bool] = [True]  # noqa: RUF012 - a pydantic field
    description: str = "picture files exist"


class ExpectImageReadable(gxe.ExpectColumnValuesToBeInSet):
    """Each picture can be read and is whole."""

    column: str = "image_state"
    value_set: list[str] = ["ok"]  # noqa: RUF012 - a pydantic field
    description: str = "picture files are pictures, and whole"


class ExpectImageSizeMatches(gxe.ExpectColumnValuesToBeBetween):
    """Each picture has the size that the annotations give."""

    column: str = "size_difference_px"
    max_value: float = 0
    description: str = "pictures have the width and height that the annotations give (largest difference)"


class ExpectFramesConsecutive(gxe.ExpectColumnValuesToBeBetween):
    """Frames of a video follow each other without gap."""

    column: str = "frame_step"
    min_value: float = 1
    max_value: float = 1
    severity: str = "warning"
    description: str = "frames of a video follow each other (step from the frame before)"


class ExpectSplitsDisjoint(gxe.ExpectColumnValuesToBeInSet):
    """No picture is in both train and val."""

    column: str = "in_other_split"
    value_set: list[bool] = [False]  # noqa: RUF012 - a pydantic field
    description: str = "no picture is in train and val both"


class ExpectDistinctPictures(gxe.ExpectColumnValuesToBeBetween):
    """No still is listed twice under different ids."""

    column: str = "same_pictures"
    max_value: float = 1
    severity: str = "warning"
    description: str = "no picture is listed twice (number of files with the same content)"


class ExpectImages(gxe.ExpectColumnValuesToBeBetween):
    """The split has pictures."""

    column: str = "num_images"
    min_value: float = 1
    description: str = "the split has pictures"


class ExpectPeople(gxe.ExpectColumnValuesToBeBetween):
    """The split has people."""

    column: str = "num_people"
    min_value: float = 1
    description: str = "the split has people"


class ExpectLabelledKeypoints(gxe.ExpectColumnValuesToBeBetween):
    """Somebody has labelled keypoints."""

    column: str = "num_labelled_people"
    min_value: float = 1
    description: str = "somebody in the split has labelled keypoints"


class ExpectFewWarnings(gxe.ExpectColumnValuesToBeBetween):
    """The share of people with warnings stays below the limit of the parameters."""

    column: str = "share_with_warnings"


def people_expectations(config: ValidateConfig) -> list[gxe.Expectation]:
    """What is expected of every person."""
    tolerance, near = config.box_tolerance_px, config.keypoint_outside_box
    return [
        ExpectUniqueAnnotationIds(),
        ExpectListedImage(),
        ExpectPositiveBox(),
        ExpectBboxTouchesImage(),
        ExpectBboxInsideImage(max_value=tolerance, description=f"boxes reach at most {tolerance:g} px outside their picture"),
        ExpectPositiveArea(),
        ExpectKeypointsFinite(),
        ExpectVisibilityInRange(),
        ExpectNumKeypointsConsistent(),
        ExpectKeypointsInsideImage(max_value=tolerance, description=f"labelled keypoints lie at most {tolerance:g} px outside the picture"),
        ExpectKeypointsNearBox(max_value=near, description=f"labelled keypoints lie at most {near:g} box sizes outside the box"),
        ExpectHeadBoxPresent(),
        ExpectVideoHeadBoxPresent(),
        ExpectLeftRightPlausible(),
        ExpectUniqueTrackIdsInFrame(),
        ExpectDistinctPoses(),
    ]


def image_expectations() -> list[gxe.Expectation]:
    """What is expected of every picture."""
    return [
        ExpectUniqueImageIds(),
        ExpectImageExists(),
        ExpectImageReadable(),
        ExpectImageSizeMatches(),
        ExpectFramesConsecutive(),
        ExpectSplitsDisjoint(),
        ExpectDistinctPictures(),
    ]


def split_expectations(config: ValidateConfig) -> list[gxe.Expectation]:
    """What is expected of a split as a whole."""
    limit = config.max_warnings
    few = ExpectFewWarnings(max_value=limit, description=f"at most {limit:.0%} of the people have warnings (validate.max_warnings)")
    return [ExpectImages(), ExpectPeople(), ExpectLabelledKeypoints(), few]
