"""A model as a folder that any user of ONNX Runtime can load: graph, weights, vocabulary, README and an example."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

from backends.base import Weights

TEMPLATES = Path(__file__).parent / "exported"


def export(weights: Weights, folder: Path, name: str, vocabulary: str) -> None:
    """Write the files into `folder`, which exists. `vocabulary`: RWKV's text format, a line `id token length` each.

    Raises OSError.
    """
    # Here, because the command line asks for this module to learn what formats there are.
    from backends.onnx.builder import write_tensors
    from backends.onnx.graph import DATA_FILE, build_model
    from backends.onnx.layout import external_tensors

    (folder / "model.onnx").write_bytes(build_model(weights).SerializeToString())
    write_tensors(folder / DATA_FILE, external_tensors(weights))
    (folder / "vocab.txt").write_text(vocabulary, "utf-8")
    stored = weights.precision if weights.precision in ("int8", "int4") else "float32"
    readme = (TEMPLATES / "README.md").read_text("utf-8").format(
        name=name, precision=stored, sha256=weights.source_hash, last=weights.config.layers - 1,
        **asdict(weights.config),
    )  # fmt: skip
    (folder / "README.md").write_text(readme, "utf-8")
    shutil.copyfile(TEMPLATES / "example.py", folder / "example.py")
