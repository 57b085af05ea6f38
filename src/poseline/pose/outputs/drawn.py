"""Drawn results: an image a frame, or a video a source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import cv2

from poseline.artifacts import atomic_file
from poseline.errors import ArtifactError, DataError
from poseline.infer.draw import Image
from poseline.infer.draw_people import draw_people
from poseline.infer.video_files import H264Video, OpenCvVideo, VideoFile, has_h264, require_h264
from poseline.pose.outputs.base import DrawOptions, Output, RunInfo, SourceInfo
from poseline.pose.records import FrameRecord

DEFAULT_RATE = 25.0
JPEG_QUALITY = 92


def draw_record(record: FrameRecord, image: Image, run: RunInfo) -> Image:
    """A copy of the image with the frame's people."""
    options = run.draw
    return draw_people(
        image, record.poses, run.skeleton, min_score=options.min_score, boxes=options.boxes, blur_faces=options.blur_faces
    )


class ImagesOutput(Output):
    """images/NAME.jpg; with several sources images/SOURCE/NAME.jpg."""

    needs_images = True
    produces = "images/"

    def add(self, record: FrameRecord, image: Image | None = None) -> None:
        """Write a frame's image.

        Raises:
            ArtifactError: it cannot be written.
        """
        assert image is not None, "drawn outputs get images"
        folder = self.out / "images"
        if len(self.run.sources) > 1:
            folder /= self.run.sources[record.source].stem
        name = Path(record.image).stem if record.image else f"{record.frame_index:06d}"
        drawn = cv2.cvtColor(draw_record(record, image, self.run), cv2.COLOR_RGB2BGR)
        done, data = cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        if not done:
            raise ArtifactError(f"{folder / name}.jpg: an image of {image.shape[1]}x{image.shape[0]} does not fit into a JPEG.")
        with atomic_file(folder / f"{name}.jpg") as temporary:
            temporary.write_bytes(data.tobytes())


class VideoOutput(Output):
    """video/SOURCE.mp4: H.264 with the source's time stamps where PyAV is installed, else MPEG-4 at its frame rate.

    Frames of another size than the first are refused.
    """

    needs_images = True
    produces = "video/"

    def __init__(self, out: Path, run: RunInfo) -> None:
        super().__init__(out, run)
        self._source, self._start_ms = "", 0.0
        self._video: VideoFile | None = None
        self._current = self.files.enter_context(ExitStack())

    @classmethod
    def check(cls, run: RunInfo) -> None:
        """Nothing, where video can be written as asked for.

        Raises:
            BackendError: PyAV is missing.
        """
        if run.draw.codec == "h264" or run.draw.sound:
            require_h264("--codec h264" if run.draw.codec == "h264" else "--sound")

    def add(self, record: FrameRecord, image: Image | None = None) -> None:
        """Write a frame.

        Raises:
            DataError: of another size than the first.
            ArtifactError: it cannot be written.
        """
        assert image is not None, "drawn outputs get images"
        info = self.run.sources[record.source]
        rate = info.frames_per_second or DEFAULT_RATE
        time_ms = 1000 * record.frame_index / rate if record.time_ms is None else record.time_ms
        try:
            if self._video is None or record.source != self._source:
                self._current.close()
                self._source, self._start_ms = record.source, time_ms
                path = self.out / "video" / f"{info.stem}.mp4"
                self._video = self._current.enter_context(open_video(path, image, info, self.run.draw, start_ms=time_ms))
            self._video.write(draw_record(record, image, self.run), time_ms - self._start_ms)
        except DataError as error:
            raise DataError(f"{record.source}: frame {record.frame_index}: {error} A video needs one size; use --format images.") from None


@contextmanager
def open_video(path: Path, image: Image, info: SourceInfo, options: DrawOptions, *, start_ms: float) -> Iterator[VideoFile]:
    """A video of images of this size that gets its name when the block ends well.

    Raises:
        ArtifactError: it cannot be written.
    """
    rate = (info.frames_per_second or DEFAULT_RATE) / info.stride
    with atomic_file(path) as temporary:
        if options.codec == "h264" or (options.codec == "auto" and has_h264()):
            sound = Path(info.name) if options.sound and info.kind == "video" else None
            video: VideoFile = H264Video(temporary, image, rate, sound=sound, start_ms=start_ms)
        else:
            video = OpenCvVideo(temporary, image, rate)
        with closing(video):
            yield video
