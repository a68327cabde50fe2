"""The one place that imports ONNX Runtime: without telemetry, with threads of our choice and memory bound in place."""

from __future__ import annotations

import os

# Read when the library is loaded. From 1.29 on it reports usage to a remote host unless this is set; switching the
# events off through its API comes too late (decision 001). tests/selftest/test_onnx_silence.py listens.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime

VERSION: str = onnxruntime.__version__

ERRORS_ONLY = 3  # ONNX Runtime's log severity
SPIN_US = "200"
"""How long a waiting thread stays awake: longer than the gaps between two products, so that a quiet machine loses
nothing (0.1B int4, 2 threads: 7.8 ms a token; 8.6 with 50 us, 11.0 without), shorter than the default."""

onnxruntime.disable_telemetry_events()


class OnnxError(Exception):
    """ONNX Runtime refused a model or a run; the message says which and why."""


class OnnxSession:
    """One loaded ONNX model. Runs with arrays in and out, or with arrays bound in place (`bind`).

    Graph optimisation is left on: it costs milliseconds and models of others need it.
    """

    def __init__(
        self,
        model: Path | bytes,
        threads: int = 1,
        initializers: Mapping[str, np.ndarray] | None = None,
        providers: Sequence[str] = ("CPUExecutionProvider",),
    ):
        """`model`: a file, or a serialised graph. `initializers`: tensors that the graph names as external data and
        that are taken from memory instead, without a copy. Raises OnnxError."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = ERRORS_ONLY
        options.add_session_config_entry("session.intra_op.spin_duration_us", SPIN_US)
        if initializers:
            values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in initializers.values()]
            options.add_external_initializers(list(initializers), values)
        source = model if isinstance(model, bytes) else str(model)
        try:
            self._session = onnxruntime.InferenceSession(source, options, providers=list(providers))
        except Exception as error:  # the library's exceptions have no common base but this
            raise OnnxError(f"cannot load {'a graph' if isinstance(model, bytes) else model}: {error}") from error
        self.threads = threads
        self.inputs = {i.name: tuple(i.shape) for i in self._session.get_inputs()}
        self.outputs = {o.name: tuple(o.shape) for o in self._session.get_outputs()}

    @property
    def metadata(self) -> dict[str, str]:
        return dict(self._session.get_modelmeta().custom_metadata_map)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All outputs as new arrays. Raises OnnxError."""
        try:
            return dict(zip(self.outputs, self._session.run(None, dict(inputs)), strict=True))
        except Exception as error:
            raise OnnxError(f"a run failed: {error}") from error

    def bind(self, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> Binding:
        """Inputs that are read, and outputs that are written, where they are. Arrays must be C-contiguous."""
        return Binding(self._session, inputs, outputs)


class Binding:
    """Memory bound to a session; `run` may be called again and again."""

    def __init__(self, session, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]):
        self._session, self._binding = session, session.io_binding()
        self._kept = (*inputs.values(), *outputs.values())  # the library holds addresses only
        for bind, arrays in ((self._binding.bind_input, inputs), (self._binding.bind_output, outputs)):
            for name, array in arrays.items():
                if not array.flags.c_contiguous:
                    raise ValueError(f"the array for '{name}' is not contiguous")
                bind(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)

    def run(self) -> None:
        """Raises OnnxError; the outputs are then unspecified."""
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as error:
            raise OnnxError(f"a run failed: {error}") from error
