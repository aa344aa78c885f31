"""What ONNX Runtime itself answers; run by the Python that has it, which is Triton's.

``python reference.py FOLDER``: for each ``NAME.inputs.npz`` in the folder, run the model whose path
is in ``NAME.path`` and write ``NAME.outputs.npz``.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort


def answer(model: Path, inputs: Path, outputs: Path) -> None:
    """Run a model once, on one thread, as the server does."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    names = [output.name for output in session.get_outputs()]
    with np.load(inputs) as given:
        found = session.run(names, dict(given))
    np.savez(outputs, **{f"out_{index}": array for index, array in enumerate(found)})


def main(folder: Path) -> None:
    """Answer everything in a folder."""
    for inputs in sorted(folder.glob("*.inputs.npz")):
        name = inputs.name.removesuffix(".inputs.npz")
        answer(Path((folder / f"{name}.path").read_text()), inputs, folder / f"{name}.outputs.npz")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
