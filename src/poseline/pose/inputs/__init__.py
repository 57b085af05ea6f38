"""What `poseline pose` reads: images, folders, lists, videos, cameras, streams and raw frames."""
