"""One process of a training run under torchrun: `python -m poseline.stages.train_worker PARAMS ROOT MAIN DEVICE`."""

from __future__ import annotations

import sys
from pathlib import Path

from torch.distributed.elastic.multiprocessing.errors import record

from poseline.artifacts import Layout
from poseline.config import load_params
from poseline.errors import PoselineError
from poseline.experiments import NullRun, open_stage
from poseline.models.device import resolve_device
from poseline.stages.train import train_rank
from poseline.train.distributed import join_group


@record
def main() -> None:
    """Train as the rank that torchrun says."""
    params_path, root, main_root, device = sys.argv[1:]
    params, layout = load_params(Path(params_path)), Layout(Path(root), Path(main_root))
    try:
        with join_group(resolve_device(device)) as rank:
            if rank.is_first:
                with open_stage("train", params, root=layout.main, workspace=layout.root) as tracker:
                    train_rank(params, layout, rank, tracker)
            else:
                train_rank(params, layout, rank, NullRun())
    except PoselineError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
