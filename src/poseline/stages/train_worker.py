"""One process of a training run under torchrun: `python -m poseline.stages.train_worker PARAMS ROOT MAIN DEVICE RECORD`."""

from __future__ import annotations

import sys
from pathlib import Path

from torch.distributed.elastic.multiprocessing.errors import record

from poseline.artifacts import Layout
from poseline.config import load_params
from poseline.errors import PoselineError
from poseline.experiments import StageRun
from poseline.models.device import resolve_device
from poseline.stages.train import train_rank
from poseline.train.distributed import join_group


@record
def main() -> None:
    """Train as the rank that torchrun says."""
    params_path, root, main_root, device, record_folder = sys.argv[1:]
    params, layout = load_params(Path(params_path)), Layout(Path(root), Path(main_root))
    try:
        with join_group(resolve_device(device)) as rank:
            # The launcher owns the run; the first process adds to its history.
            train_rank(params, layout, rank, StageRun(Path(record_folder) if record_folder and rank.is_first else None))
    except PoselineError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
