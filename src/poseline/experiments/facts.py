"""The state of this machine that the nodes of a training run compare: commit, uncommitted changes, code, versions, data, parameters."""

from __future__ import annotations

import hashlib
import os
from importlib.metadata import version

from poseline.artifacts import Layout, file_hash
from poseline.config import Params, dump_section, flatten
from poseline.experiments.lineage import UNRELATED_TO_CODE, flat_params, git_output
from poseline.train.checkpoint import fingerprint
from poseline.train.node_facts import Facts

SECTIONS = ("seed", "codec", "model", "loss", "augment", "train", "preprocess")
"""Sections of the parameters that decide the result of training, beside the data."""
OF_A_MACHINE = frozenset(
    f"train.{name}"
    for name in ("nodes", "rendezvous", "wait_minutes", "processes", "threads", "workers", "checkpoint_minutes", "checkpoint_every")
) | {"preprocess.processes"}
"""Values that may differ from node to node, or that node 0 alone uses."""


def gather_facts(params: Params, layout: Layout, device: str, processes: int) -> Facts:
    """What is compared, of this machine now.

    Args:
        params: all parameters.
        layout: the project.
        device: kind of device.
        processes: that train here.
    """
    root = layout.root.resolve()
    commit = os.environ.get("DVC_EXP_BASELINE_REV") or git_output(root, "rev-parse", "HEAD")
    values = {
        "git commit": commit[:12],
        "uncommitted changes": hash_changes(layout),
        "training code": fingerprint([]),
        "poseline": version("poseline"),
        "torch": version("torch").partition("+")[0],
        "kind of device": device,
        "processes of a node": str(processes),
        "data/processed": hash_data(layout),
    }
    return Facts(values=values, params=deciding_params(params))


def hash_changes(layout: Layout) -> str:
    """A hash of how tracked files differ from the commit; empty where they do not. Parameters, dvc.lock and reports do not count."""
    left_out = [f":(exclude){path.removesuffix('/')}" for path in UNRELATED_TO_CODE]
    changes = git_output(layout.root.resolve(), "diff", "HEAD", "--no-color", "--no-ext-diff", "--", ".", *left_out)
    return hashlib.sha256(changes.encode()).hexdigest()[:12] if changes else ""


def hash_data(layout: Layout) -> str:
    """A hash of the names and contents of all files of data/processed; empty where there are none."""
    files = sorted(path for path in layout.processed.rglob("*") if path.is_file())
    lines = [f"{path.relative_to(layout.processed).as_posix()} {file_hash(path)}\n" for path in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:12] if files else ""


def deciding_params(params: Params) -> dict[str, str]:
    """The parameters that decide the result of training, flat, as text."""
    flat = flat_params(params)
    skeleton = {f"data.{key}": str(value) for key, value in flatten(dump_section(params.data)).items() if not key.startswith("sets.")}
    chosen = {key: value for key, value in flat.items() if key.partition(".")[0] in SECTIONS and key not in OF_A_MACHINE}
    return {**chosen, **skeleton}
