"""The machine's load while a stage runs, under MLflow's own names, so that its System metrics page shows them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.system_metrics.metrics.base_metrics_monitor import BaseMetricsMonitor

INTERVAL_S = 10.0


class Sampler:
    """A thread that hands ``{"system/...": value}, step`` to a callback every ten seconds, and once more when it is stopped."""

    def __init__(self, log: Callable[[dict[str, float], int], None]) -> None:
        """A sampler at rest."""
        self._log = log
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="system-metrics", daemon=True)
        self._monitors = _monitors()

    def start(self) -> None:
        """Begin to sample."""
        self._thread.start()

    def stop(self) -> None:
        """Take the last sample and end."""
        self._stopped.set()
        self._thread.join(timeout=5)

    def _work(self) -> None:
        for monitor in self._monitors:  # the first reading of the CPU's load has nothing to compare with
            monitor.collect_metrics()
            monitor.clear_metrics()
        step = 0
        over = False
        while not over:
            over = self._stopped.wait(INTERVAL_S)
            values: dict[str, float] = {}
            for monitor in self._monitors:
                monitor.collect_metrics()
                values.update(monitor.aggregate_metrics())
                monitor.clear_metrics()
            self._log({f"system/{name}": value for name, value in values.items()}, step)
            step += 1


def _monitors() -> list[BaseMetricsMonitor]:
    """MLflow's collectors for what this machine has; none without psutil."""
    try:
        from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
        from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
        from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
        from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

        monitors: list[BaseMetricsMonitor] = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
    except ImportError:
        return []
    try:
        monitors.append(GPUMonitor())
    except Exception:  # no NVIDIA driver or no binding for it: MLflow raises what the driver raised
        return monitors
    return monitors
