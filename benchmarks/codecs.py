"""Time of target generation and decoding on one core: prints a table, writes reports/benchmarks/codecs.json.

Run: OMP_NUM_THREADS=1 python benchmarks/codecs.py [--people 64 --keypoints 17 --repeats 50]
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch

from poseline.codecs.base import Codec
from poseline.codecs.build import build_codec
from poseline.config.network import CodecConfig, CombinedConfig, HeatmapConfig, IntegralConfig

INPUT_WH = (192, 256)
LIMITS_MS = {"encode_ms": 0.15, "decode_ms": 0.03}
CONFIGS = {
    "udp": CodecConfig(kind="udp"),
    "heatmap, DARK": CodecConfig(kind="heatmap"),
    "heatmap, published": CodecConfig(kind="heatmap", geometry="published", heatmap=HeatmapConfig(centre="integer", refine="quarter")),
    "integral, sigmoid": CodecConfig(kind="integral"),
    "integral, softmax": CodecConfig(kind="integral", integral=IntegralConfig(normalise="softmax")),
    "combined": CodecConfig(kind="combined", combined=CombinedConfig(integral_last=5)),
    "simcc": CodecConfig(kind="simcc"),
    "regression": CodecConfig(kind="regression"),
}


def milliseconds(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Least and median time of a call, on the clock of this thread, so that other work on the machine counts little."""
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        work()
        times.append(1e3 * (time.thread_time() - start))
    times.sort()
    return times[0], times[len(times) // 2]


def measure(codec: Codec, people: int, repeats: int) -> dict[str, float]:
    """Times a person, least and median, of encoding and of decoding noisy outputs."""
    rng = torch.Generator().manual_seed(0)
    keypoints = torch.rand(people, codec.num_keypoints, 2, generator=rng) * (torch.tensor(INPUT_WH) - 1.0)
    weights = torch.ones(people, codec.num_keypoints)
    drawn = build_codec(CodecConfig(kind="udp"), num_keypoints=codec.num_keypoints, input_wh=INPUT_WH).encode(keypoints, weights).values
    made = tuple(torch.randn(people, *shape, generator=rng) * 0.02 for shape in codec.output_shapes)
    if len(made) == 1 and made[0].dim() == 4:
        made = (made[0] + drawn,)
    outputs = made if len(made) > 1 else made[0]
    encode, decode = milliseconds(lambda: codec.encode(keypoints, weights), repeats), milliseconds(lambda: codec.decode(outputs), repeats)
    return {
        "encode_ms": encode[0] / people,
        "encode_median_ms": encode[1] / people,
        "decode_ms": decode[0] / people,
        "decode_median_ms": decode[1] / people,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=64)
    parser.add_argument("--keypoints", type=int, default=17)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--out", type=Path, default=Path("reports/benchmarks/codecs.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = {}
    print(f"{options.people} people x {options.keypoints} keypoints, input {INPUT_WH}, one thread; ms a person: least (median)")
    print(f"{'codec':20} {'encode':>18} {'decode':>18}")
    for name, config in CONFIGS.items():
        codec = build_codec(config, num_keypoints=options.keypoints, input_wh=INPUT_WH)
        row = results[name] = measure(codec, options.people, options.repeats)
        print(
            f"{name:20} {row['encode_ms']:9.4f} ({row['encode_median_ms']:.4f}) {row['decode_ms']:9.4f} ({row['decode_median_ms']:.4f})"
        )
    print(f"limits for heat maps: encode {LIMITS_MS['encode_ms']}, decode {LIMITS_MS['decode_ms']}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    report = {
        "command": "OMP_NUM_THREADS=1 python benchmarks/codecs.py",
        "people": options.people,
        "keypoints": options.keypoints,
        "input_wh": INPUT_WH,
        "machine": f"{platform.machine()}, torch {torch.__version__}, one thread",
        "limits_ms": LIMITS_MS,
        "ms_per_person": results,
    }
    options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
