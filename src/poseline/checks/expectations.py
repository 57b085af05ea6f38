"""The expectations on annotations, each with a name and a fixed severity. Importing this costs seconds: Great Expectations loads."""

from __future__ import annotations

from great_expectations.expectations.core.expect_column_values_to_be_between import ExpectColumnValuesToBeBetween
from great_expectations.expectations.core.expect_column_values_to_be_in_set import ExpectColumnValuesToBeInSet
from great_expectations.expectations.core.expect_column_values_to_be_unique import ExpectColumnValuesToBeUnique
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metadata_types import FailureSeverity

from poseline.checks.readings import AS_EXPECTED
from poseline.config import ValidateConfig


class ExpectUniqueAnnotationIds(ExpectColumnValuesToBeUnique):
    """No annotation id occurs twice."""

    column: str = "annotation_id"
    description: str = "annotation ids are unique"


class ExpectListedImage(ExpectColumnValuesToBeInSet):
    """Each person's image is among the file's images."""

    column: str = "image_listed"
    value_set: list[bool] = [True]  # noqa: RUF012 - a pydantic field
    description: str = "each person's image_id is among the file's images"


class ExpectPositiveBox(ExpectColumnValuesToBeBetween):
    """Each box has finite corners and a width and height above 0."""

    column: str = "bbox_min_side_px"
    min_value: float = 0
    strict_min: bool = True
    description: str = "boxes are finite, with width and height above 0 px (-1: not finite)"


class ExpectBboxTouchesImage(ExpectColumnValuesToBeBetween):
    """Each box overlaps its image."""

    column: str = "bbox_inside_fraction"
    min_value: float = 0
    strict_min: bool = True
    description: str = "boxes overlap their image (fraction of the box inside)"


class ExpectBboxInsideImage(ExpectColumnValuesToBeBetween):
    """Each box lies inside its image."""

    column: str = "bbox_outside_px"
    severity: FailureSeverity = FailureSeverity.WARNING


class ExpectPositiveArea(ExpectColumnValuesToBeBetween):
    """Each person has an area above 0."""

    column: str = "area_px2"
    min_value: float = 0
    strict_min: bool = True
    description: str = "areas are above 0 px² (-1: missing or not finite)"


class ExpectKeypointsFinite(ExpectColumnValuesToBeBetween):
    """No keypoint is NaN or infinite."""

    column: str = "nonfinite_keypoints"
    max_value: float = 0
    description: str = "keypoints are finite numbers (count of those that are not)"


class ExpectVisibilityInRange(ExpectColumnValuesToBeBetween):
    """Visibility flags are 0, 1 or 2."""

    column: str = "unknown_visibilities"
    max_value: float = 0
    description: str = "visibility flags are 0, 1 or 2 (count of others)"


class ExpectNumKeypointsConsistent(ExpectColumnValuesToBeBetween):
    """num_keypoints is the number of labelled keypoints."""

    column: str = "num_keypoints_difference"
    min_value: float = 0
    max_value: float = 0
    severity: FailureSeverity = FailureSeverity.WARNING
    description: str = "num_keypoints equals the number of labelled keypoints (difference)"


class ExpectKeypointsInsideImage(ExpectColumnValuesToBeBetween):
    """Labelled keypoints lie inside the image."""

    column: str = "keypoint_outside_image_px"
    severity: FailureSeverity = FailureSeverity.WARNING


class ExpectKeypointsNearBox(ExpectColumnValuesToBeBetween):
    """Labelled keypoints lie in or near the person's box."""

    column: str = "keypoint_outside_box"
    severity: FailureSeverity = FailureSeverity.WARNING


class ExpectHeadBoxPresent(ExpectColumnValuesToBeBetween):
    """Every labelled person of a still has a head box, without which PCKh has no unit."""

    column: str = "head_min_side_px"
    min_value: float = 0
    strict_min: bool = True
    description: str = "labelled people have a head box, which PCKh needs (-1: none)"


class ExpectVideoHeadBoxPresent(ExpectColumnValuesToBeBetween):
    """Every labelled person of a video has a head box; the official files lack some."""

    column: str = "video_head_min_side_px"
    min_value: float = 0
    strict_min: bool = True
    severity: FailureSeverity = FailureSeverity.WARNING
    description: str = "labelled people of videos have a head box, which the tracking measures need (-1: none)"


class ExpectLeftRightPlausible(ExpectColumnValuesToBeBetween):
    """Shoulders and hips run the same way."""

    column: str = "left_right_cosine"
    min_value: float = -0.5
    severity: FailureSeverity = FailureSeverity.WARNING
    description: str = "left and right of shoulders and hips agree (cosine between their lines above -0.5)"


class ExpectUniqueTrackIdsInFrame(ExpectColumnValuesToBeBetween):
    """No track id occurs twice in a frame."""

    column: str = "people_of_track"
    max_value: float = 1
    description: str = "a track id occurs once a frame (number of people with it)"


class ExpectDistinctPoses(ExpectColumnValuesToBeBetween):
    """No pose is annotated twice in an image."""

    column: str = "people_of_pose"
    max_value: float = 1
    severity: FailureSeverity = FailureSeverity.WARNING
    description: str = "no two people of an image have the same keypoints (number of people with them)"


class ExpectUniqueImageIds(ExpectColumnValuesToBeUnique):
    """No image id occurs twice."""

    column: str = "image_id"
    description: str = "image ids are unique"


class ExpectImageExists(ExpectColumnValuesToBeInSet):
    """Each image's file exists."""

    column: str = "image_exists"
    value_set: list[bool] = [True]  # noqa: RUF012 - a pydantic field
    description: str = "image files exist"


class ExpectImageReadable(ExpectColumnValuesToBeInSet):
    """Each image can be read and is whole."""

    column: str = "image_state"
    value_set: list[str] = ["ok"]  # noqa: RUF012 - a pydantic field
    description: str = "image files are images, and whole"


class ExpectImageSizeMatches(ExpectColumnValuesToBeBetween):
    """Each image has the size that the annotations give."""

    column: str = "size_difference_px"
    max_value: float = 0
    description: str = "images have the width and height that the annotations give (largest difference)"


class ExpectSidesNotSwapped(ExpectColumnValuesToBeInSet):
    """Annotations are of the upright image."""

    column: str = "sides_swapped"
    value_set: list[bool] = [False]  # noqa: RUF012 - a pydantic field
    description: str = (
        "width and height are not swapped against the annotations (EXIF orientation: images are read upright; annotate them upright, "
        "or take the tag out of files that were annotated as stored)"
    )


class ExpectStoredUpright(ExpectColumnValuesToBeBetween):
    """Images have no EXIF orientation that turns them."""

    column: str = "orientation"
    max_value: float = 1
    severity: FailureSeverity = FailureSeverity.WARNING
    description: str = "images are stored upright (EXIF orientation; the others are read upright, as most annotation tools show them)"


class ExpectFramesConsecutive(ExpectColumnValuesToBeBetween):
    """Frames of a video follow each other without gap."""

    column: str = "frame_step"
    min_value: float = 1
    max_value: float = 1
    severity: FailureSeverity = FailureSeverity.WARNING
    description: str = "frames of a video follow each other (step from the frame before)"


class ExpectSplitsDisjoint(ExpectColumnValuesToBeInSet):
    """No image is in both train and val."""

    column: str = "in_other_split"
    value_set: list[bool] = [False]  # noqa: RUF012 - a pydantic field
    description: str = "no image is in train and val both"


class ExpectDistinctImages(ExpectColumnValuesToBeBetween):
    """No still is listed twice under different ids."""

    column: str = "same_images"
    max_value: float = 1
    severity: FailureSeverity = FailureSeverity.WARNING
    description: str = "no image is listed twice (number of files with the same content)"


class ExpectImages(ExpectColumnValuesToBeBetween):
    """The split has images."""

    column: str = "num_images"
    min_value: float = 1
    description: str = "the split has images"


class ExpectPeople(ExpectColumnValuesToBeBetween):
    """The split has people."""

    column: str = "num_people"
    min_value: float = 1
    description: str = "the split has people"


class ExpectLabelledKeypoints(ExpectColumnValuesToBeBetween):
    """Somebody has labelled keypoints."""

    column: str = "num_labelled_people"
    min_value: float = 1
    description: str = "somebody in the split has labelled keypoints"


class ExpectFewWarnings(ExpectColumnValuesToBeBetween):
    """The fraction of people with warnings stays below the limit of the parameters."""

    column: str = "fraction_with_warnings"


class ExpectBoxesReadRight(ExpectColumnValuesToBeInSet):
    """No other reading of the boxes' four numbers explains the whole file better."""

    column: str = "box_reading"
    value_set: list[str] = [AS_EXPECTED]  # noqa: RUF012 - a pydantic field
    description: str = "the file's boxes are x, y, width, height in pixels"


class ExpectKeypointsReadRight(ExpectColumnValuesToBeInSet):
    """No other reading of the keypoints' two numbers explains the whole file better."""

    column: str = "keypoint_reading"
    value_set: list[str] = [AS_EXPECTED]  # noqa: RUF012 - a pydantic field
    description: str = "the file's keypoints are x, y in pixels of the image"


class ExpectSidesRight(ExpectColumnValuesToBeInSet):
    """Left and right are the person's own in the whole file."""

    column: str = "sides"
    value_set: list[str] = [AS_EXPECTED]  # noqa: RUF012 - a pydantic field
    description: str = "left and right are the person's own, not the image's"


class ExpectPixelsFromZero(ExpectColumnValuesToBeInSet):
    """Pixels count from 0 in the whole file."""

    column: str = "first_pixel"
    value_set: list[str] = [AS_EXPECTED]  # noqa: RUF012 - a pydantic field
    description: str = "the file's pixels count from 0"


def people_expectations(config: ValidateConfig) -> list[ColumnMapExpectation]:
    """What is expected of every person."""
    tolerance, near = config.box_tolerance_px, config.keypoint_outside_box
    return [
        ExpectUniqueAnnotationIds(),
        ExpectListedImage(),
        ExpectPositiveBox(),
        ExpectBboxTouchesImage(),
        ExpectBboxInsideImage(max_value=tolerance, description=f"boxes reach at most {tolerance:g} px outside their image"),
        ExpectPositiveArea(),
        ExpectKeypointsFinite(),
        ExpectVisibilityInRange(),
        ExpectNumKeypointsConsistent(),
        ExpectKeypointsInsideImage(max_value=tolerance, description=f"labelled keypoints lie at most {tolerance:g} px outside the image"),
        ExpectKeypointsNearBox(max_value=near, description=f"labelled keypoints lie at most {near:g} box sizes outside the box"),
        ExpectHeadBoxPresent(),
        ExpectVideoHeadBoxPresent(),
        ExpectLeftRightPlausible(),
        ExpectUniqueTrackIdsInFrame(),
        ExpectDistinctPoses(),
    ]


def image_expectations() -> list[ColumnMapExpectation]:
    """What is expected of every image."""
    return [
        ExpectUniqueImageIds(),
        ExpectImageExists(),
        ExpectImageReadable(),
        ExpectImageSizeMatches(),
        ExpectSidesNotSwapped(),
        ExpectStoredUpright(),
        ExpectFramesConsecutive(),
        ExpectSplitsDisjoint(),
        ExpectDistinctImages(),
    ]


def split_expectations(config: ValidateConfig) -> list[ColumnMapExpectation]:
    """What is expected of a split as a whole."""
    limit = config.max_warnings
    few = ExpectFewWarnings(max_value=limit, description=f"at most {limit:.0%} of the people have warnings (validate.max_warnings)")
    whole = [ExpectBoxesReadRight(), ExpectKeypointsReadRight(), ExpectSidesRight(), ExpectPixelsFromZero()]
    return [ExpectImages(), ExpectPeople(), ExpectLabelledKeypoints(), few, *whole]
