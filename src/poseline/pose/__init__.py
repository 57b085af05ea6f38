"""From images, videos and cameras to poses and tracks: inputs, the pipeline, resuming, outputs."""
