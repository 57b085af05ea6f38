"""ONNX files opened by a CPU runtime: onnxruntime or OpenVINO, behind one protocol."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import local
from typing import Protocol, runtime_checkable

import numpy as np

from poseline.errors import BackendError
from poseline.kinds import Kinds
from poseline.threads import available_cores

LOG = logging.getLogger(__name__)

SESSIONS = Kinds(
    "poseline.sessions",
    {"openvino": "poseline.infer.sessions:OpenVinoSession", "onnxruntime": "poseline.infer.sessions:OnnxRuntimeSession"},
)
"""Runtimes of ONNX files, the fastest first: ``auto`` takes the first that is installed."""


@dataclass(frozen=True)
class Port:
    """An input or output of a network.

    Attributes:
        name: its name.
        shape: its sides; None where one is free.
        dtype: NumPy's name of its type.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str


@runtime_checkable
class Session(Protocol):
    """An opened network.

    Attributes:
        runtime: name of what runs it.
        inputs: of the network, in the file's order.
        outputs: likewise.
    """

    runtime: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def run(self, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs, in their order."""


def open_session(path: Path, *, runtime: str = "auto", threads: int | None = None) -> Session:
    """The network of an ONNX file, ready to run on the CPU.

    Args:
        path: the file.
        runtime: ``onnxruntime``, ``openvino``, or ``auto``: the first of both that is installed.
        threads: that one run may use; None: every core that this process may use.

    Raises:
        BackendError: the runtime is not installed, or refuses the file; no such file.
    """
    if not path.is_file():
        raise BackendError(f"{path}: no such ONNX file. Check the path, or write one with `poseline export`.")
    chosen = choose_runtime() if runtime == "auto" else runtime
    factory = SESSIONS.load(chosen)
    session: Session = factory(path, threads or available_cores())  # type: ignore[operator]
    LOG.info("%s: runs on %s, %d threads", path.name, chosen, threads or available_cores())
    return session


def choose_runtime() -> str:
    """The first installed runtime of ONNX files.

    Raises:
        BackendError: none is.
    """
    for name in SESSIONS.own:
        if find_spec(name) is not None:
            return name
    raise BackendError("no runtime of ONNX files is installed. Run `pip install 'poseline[onnx]'`, or 'poseline[openvino]'.")


class OnnxRuntimeSession:
    """An ONNX file under onnxruntime, on the CPU."""

    runtime = "onnxruntime"

    def __init__(self, path: Path, threads: int) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise BackendError("onnxruntime is not installed. Run `pip install 'poseline[onnx]'`.") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        # Threads that spin while they wait take the cores from decoding and drawing, and crawl on a busy machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises its own, undocumented types
            raise BackendError(f"{path}: onnxruntime cannot load it ({str(error).splitlines()[0]}).") from None
        self.inputs, self.outputs = self._ports(self.session.get_inputs()), self._ports(self.session.get_outputs())

    @staticmethod
    def _ports(entries: Sequence[object]) -> tuple[Port, ...]:
        names = {"tensor(float)": "float32", "tensor(double)": "float64"}
        return tuple(
            Port(
                entry.name,  # type: ignore[attr-defined]
                tuple(side if isinstance(side, int) else None for side in entry.shape),  # type: ignore[attr-defined]
                names.get(kind := str(entry.type), kind.removeprefix("tensor(").removesuffix(")")),  # type: ignore[attr-defined]
            )
            for entry in entries
        )

    def run(self, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs, in their order."""
        found: list[np.ndarray] = self.session.run(None, dict(feeds))
        return found


class OpenVinoSession:
    """An ONNX file under OpenVINO, on the CPU."""

    runtime = "openvino"

    def __init__(self, path: Path, threads: int) -> None:
        try:
            import openvino
        except ImportError:
            raise BackendError("openvino is not installed. Run `pip install 'poseline[openvino]'`.") from None
        # As many streams as runs of so many threads fit the cores: `poseline pose` calls from several threads at once.
        streams = max(1, available_cores() // threads)
        options = {"NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": threads * streams, "INFERENCE_PRECISION_HINT": "f32"}
        try:
            core = openvino.Core()
            self.compiled = core.compile_model(core.read_model(str(path)), "CPU", options)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:160]
            raise BackendError(f"{path}: OpenVINO cannot load it ({reason}). Try --runtime onnxruntime.") from None
        self.inputs, self.outputs = self._ports(self.compiled.inputs), self._ports(self.compiled.outputs)
        self._requests = local()  # a request takes one run at a time: one a thread

    @staticmethod
    def _ports(entries: Sequence[object]) -> tuple[Port, ...]:
        return tuple(
            Port(
                entry.get_any_name(),  # type: ignore[attr-defined]
                tuple(None if side.is_dynamic else side.get_length() for side in entry.get_partial_shape()),  # type: ignore[attr-defined]
                np.dtype(entry.get_element_type().to_dtype()).name,  # type: ignore[attr-defined]
            )
            for entry in entries
        )

    def run(self, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs, in their order."""
        if not hasattr(self._requests, "own"):
            self._requests.own = self.compiled.create_infer_request()
        found = self._requests.own.infer(dict(feeds), share_inputs=True)
        # Copied: the request writes over its outputs at the next run.
        return [np.array(found[index]) for index in range(len(self.outputs))]
