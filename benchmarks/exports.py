"""How far the ONNX export of each family of networks is from eager PyTorch: the relative norm of the raw outputs' difference.

Run: python benchmarks/exports.py [PRESET...]     random weights, on drawn people; writes reports/benchmarks/exports.json

Keypoints decoded in the graph are compared by the tests: maps of random weights have no peak that stands out.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from runtimes import save_untrained

from poseline.errors import BackendError
from poseline.infer.export import export_onnx

FAMILIES = (
    "alphapose/simplepose-r50", "alphapose/fastpose-r50", "alphapose/fastpose-dcn-r50", "alphapose/fastpose-duc-r50", "alphapose/hardnet68",
    "alphapose/fastpose-halpe136-integral", "alphapose/fastpose-dcn-halpe136-combined", "hrnet/w32-coco-256x192",
    "mmpose/vitpose-small-coco-256x192", "mmpose/vitpose-small-simple-coco-256x192", "mmpose/rtmpose-tiny-coco-256x192",
)  # fmt: skip


def measure(preset: str) -> dict[str, object]:
    """The relative difference of raw outputs; why there is none."""
    with tempfile.TemporaryDirectory() as folder:
        save_untrained(preset, Path(folder) / "model")
        try:
            return {"preset": preset, "relative": export_onnx(Path(folder) / "model", Path(folder) / "net.onnx")}
        except BackendError as error:
            return {"preset": preset, "relative": None, "refused": str(error).replace(folder, "")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("presets", nargs="*", default=FAMILIES)
    rows = []
    for preset in parser.parse_args().presets:
        rows.append(measure(preset))
        print(rows[-1], flush=True)
    path = Path(__file__).resolve().parents[1] / "reports/benchmarks/exports.json"
    largest = max((row["relative"] for row in rows if isinstance(row["relative"], float)), default=None)
    path.write_text(json.dumps({"families": rows, "largest": largest}, indent=2) + "\n")


if __name__ == "__main__":
    main()
