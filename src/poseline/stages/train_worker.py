"""One process of a training run under torchrun: `python -m poseline.stages.train_worker PARAMS ROOT MAIN DEVICE RECORD START WORKDIR`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from torch.distributed.elastic.multiprocessing.errors import record as write_error

from poseline import progress
from poseline.artifacts import Layout
from poseline.config import load_params
from poseline.experiments import StageRun
from poseline.models.device import resolve_device
from poseline.stages.train import train_rank
from poseline.train.distributed import join_group
from poseline.train.interrupt import end_quickly, end_with_parent, signal_of_node
from poseline.train.launcher import DEBUG, NODE


@write_error
def main() -> None:
    """Train as the rank that torchrun says."""
    end_quickly()
    end_with_parent(signal_of_node(int(os.environ.get(NODE, "0"))))
    params_path, root, main_root, device, record_folder, start, workdir = sys.argv[1:]
    params, layout = load_params(Path(params_path)), Layout(Path(root), Path(main_root))
    if DEBUG not in os.environ:
        sys.excepthook = lambda *_: None  # the error is in the file that @write_error writes; the stage says it
    with progress.working("train"), join_group(resolve_device(device)) as rank:
        progress.silence(progress.is_silent() or not rank.is_first)
        # The launcher owns the run; the first process adds to its history.
        record = StageRun(Path(record_folder) if record_folder and rank.is_first else None)
        train_rank(params, layout, rank, record, Path(start) if start else None, Path(workdir))


if __name__ == "__main__":
    main()
