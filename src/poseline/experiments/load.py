"""The machine's load, under MLflow's own names, so that its System metrics page shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.system_metrics.metrics.base_metrics_monitor import BaseMetricsMonitor


class LoadSampler:
    """Samples of the load since the last one."""

    def __init__(self) -> None:
        """A first reading, for the others to be compared with."""
        self._monitors = _monitors()
        self.sample()

    def sample(self) -> dict[str, float]:
        """``system/...`` -> value."""
        values: dict[str, float] = {}
        for monitor in self._monitors:
            monitor.collect_metrics()
            values.update(monitor.aggregate_metrics())
            monitor.clear_metrics()
        return {f"system/{name}": value for name, value in values.items()}


def _monitors() -> list[BaseMetricsMonitor]:
    """MLflow's collectors for what this machine has; none without mlflow or psutil."""
    try:
        from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
        from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
        from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
        from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor
    except ImportError:
        return []
    monitors: list[BaseMetricsMonitor] = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
    try:
        return [*monitors, GPUMonitor()]
    except (ImportError, RuntimeError):  # no NVIDIA driver, or no binding for it
        return monitors
