"""PoseTrack 2017, 2018 and 2021."""
