"""Training, and the export to ONNX with the one signature that all sample models share.

Input `image`: float32, N by 64. Outputs: `label`, int64, N by 1; `probabilities`, float32, N by 10.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from tests.models.digits import CLASSES, PIXELS, Digits, Labels

INPUT = "image"
LABEL = "label"
PROBABILITIES = "probabilities"

OPSET = 17
"""Old enough for every ONNX Runtime that Triton came with since 24.10."""
HIDDEN = 32
FLAT_LABEL = "label_flat"
FILTERED = "filtered"
WIDENED = "widened"


@dataclass(frozen=True, slots=True)
class Network:
    """A trained classifier."""

    classifier: Any

    def layers(self) -> dict[str, npt.NDArray[np.float32]]:
        """Return the weights and biases of a network with one hidden layer, for numpy."""
        (hidden, out), (hidden_bias, out_bias) = (
            self.classifier.coefs_,
            self.classifier.intercepts_,
        )
        return {
            "hidden": hidden.astype(np.float32),
            "hidden_bias": hidden_bias.astype(np.float32),
            "out": out.astype(np.float32),
            "out_bias": out_bias.astype(np.float32),
        }

    def answers(self, digits: Digits) -> Digits:
        """Return the scans with what it reads in them."""
        return Digits(digits.images, self.classifier.predict(digits.images))

    def accuracy(self, digits: Digits) -> float:
        """Return the share of scans that it reads right; ratio in [0, 1]."""
        return float(self.classifier.score(digits.images, digits.labels))


def train_regression(digits: Digits) -> Network:
    """Train a logistic regression."""
    return Network(LogisticRegression(max_iter=500).fit(digits.images, digits.labels))


def train_network(digits: Digits, seed: int) -> Network:
    """Train a network with one hidden layer; it stops when a tenth held back gets no better."""
    classifier = MLPClassifier(
        (HIDDEN,),
        random_state=seed,
        learning_rate_init=0.01,
        early_stopping=True,
        n_iter_no_change=25,
        max_iter=500,
    )
    return Network(classifier.fit(digits.images, digits.labels))


def shuffled(digits: Digits, seed: int) -> Digits:
    """Return the scans with their labels mixed up: what a broken training pipeline makes."""
    labels: Labels = np.random.default_rng(seed).permutation(digits.labels)
    return Digits(digits.images, labels)


def export(network: Network, *, input_name: str = INPUT, noise: float = 0.0) -> bytes:
    """Return the ONNX file; another `input_name` makes another signature.

    With `noise` it first takes so much from every pixel, as a filter does: what is fainter is gone.
    """
    converted = to_onnx(
        network.classifier,
        initial_types=[(input_name, FloatTensorType([None, PIXELS]))],
        options={id(network.classifier): {"zipmap": False}},
        target_opset=OPSET,
    )
    if noise:
        _filter_input(converted.graph, input_name, noise)
    return _with_column_of_labels(converted).SerializeToString(deterministic=True)  # type: ignore[no-any-return]


def widened(network: Network, megabytes: int) -> bytes:
    """Return the ONNX file with so many more megabytes of weights, and the same answers.

    The image also goes through two wide layers, the second of which has zeros only, and what comes
    out is added to it.
    """
    converted = onnx.load_from_string(export(network))
    graph = converted.graph
    for node in graph.node:
        node.input[:] = [WIDENED if name == INPUT else name for name in node.input]

    width = megabytes * 1_000_000 // (2 * PIXELS * 4)
    wide = np.random.default_rng(0).standard_normal((PIXELS, width), dtype=np.float32)
    narrow = np.zeros((width, PIXELS), dtype=np.float32)
    graph.initializer.append(numpy_helper.from_array(wide, "wide"))
    graph.initializer.append(numpy_helper.from_array(narrow, "narrow"))
    graph.node.insert(0, helper.make_node("MatMul", [INPUT, "wide"], ["far"]))
    graph.node.insert(1, helper.make_node("MatMul", ["far", "narrow"], ["back"]))
    graph.node.insert(2, helper.make_node("Add", [INPUT, "back"], [WIDENED]))

    onnx.checker.check_model(converted)
    return converted.SerializeToString(deterministic=True)  # type: ignore[no-any-return]


def _filter_input(graph: Any, input_name: str, noise: float) -> None:
    """Put max(0, x - noise) between the input and all that reads it."""
    for node in graph.node:
        node.input[:] = [FILTERED if name == input_name else name for name in node.input]
    graph.initializer.append(numpy_helper.from_array(np.array([noise], dtype=np.float32), "noise"))
    graph.node.insert(0, helper.make_node("Sub", [input_name, "noise"], ["less"]))
    graph.node.insert(1, helper.make_node("Relu", ["less"], [FILTERED]))


def _with_column_of_labels(model: Any) -> Any:
    """Make the labels N by 1: Triton wants at least one dimension beside the batch."""
    graph = model.graph
    for node in graph.node:
        node.output[:] = [FLAT_LABEL if name == LABEL else name for name in node.output]

    axes = numpy_helper.from_array(np.array([1], dtype=np.int64), "label_axes")
    graph.initializer.append(axes)
    graph.node.append(helper.make_node("Unsqueeze", [FLAT_LABEL, "label_axes"], [LABEL]))

    del graph.output[:]
    graph.output.extend(
        [
            helper.make_tensor_value_info(LABEL, TensorProto.INT64, ["N", 1]),
            helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["N", CLASSES]),
        ]
    )

    onnx.checker.check_model(model)
    return model
