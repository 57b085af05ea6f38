"""What `poseline pose` writes: one file a format, each fed frame by frame."""
