"""Every file that passes between stages: where it lies, its schema and version, atomic writing and checked reading."""

from poseline.artifacts.files import atomic_file, atomic_folder, file_hash, hash_path, read_json, write_json, write_text
from poseline.artifacts.layout import Layout
from poseline.artifacts.scratch import scratch, scratch_folder
from poseline.artifacts.tables import BBOX_COLUMNS, PoseTable, TableHeader, read_poses, read_table, write_poses, write_table

__all__ = [
    "BBOX_COLUMNS",
    "Layout",
    "PoseTable",
    "TableHeader",
    "atomic_file",
    "atomic_folder",
    "file_hash",
    "hash_path",
    "read_json",
    "read_poses",
    "read_table",
    "scratch",
    "scratch_folder",
    "write_json",
    "write_poses",
    "write_table",
    "write_text",
]
