"""Handwritten digits: an ONNX graph that brightens a scan, reads it and names the class."""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from tests.contract.faults.graphs import GraphBuilder, alone, with_config
from tests.contract.faults.version import Array, Arrays, Family, Question, Version
from tests.models.digits import CLASSES, PIXELS, Split, load_split
from tests.models.networks import INPUT, LABEL, OPSET, PROBABILITIES

HIDDEN = 128
EPOCHS = 60
DARKEST = 0.05
"""A scan is brightened by its brightest pixel, which counts as bright as this at least."""
FAINT_SHARE, FADING = 0.25, (0.2, 0.45)
BLANK_SHARE = 0.03
"""Of scans: an empty page went through the scanner."""
BATCH_SHARE, LARGEST_BATCH = 0.2, 4
GOLDEN_PER_CLASS = 2
CLEAR = 0.9
"""Of a golden case's probability: people keep clear cases."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Of a network with one hidden layer."""

    hidden: Array
    hidden_bias: Array
    out: Array
    out_bias: Array

    def map(self, change: Callable[[Array], Array]) -> "Weights":
        """Return the weights, changed one by one."""
        return Weights(*(change(each) for each in self.all()))

    def all(self) -> tuple[Array, ...]:
        """Return all four arrays."""
        return self.hidden, self.hidden_bias, self.out, self.out_bias


@cache
def _split() -> Split:
    return load_split()


def brighten(scans: Array) -> Array:
    """Return the scans as bright as the training data."""
    brightest: Array = scans / np.maximum(scans.max(axis=1, keepdims=True), DARKEST)
    return brightest


@cache
def train(seed: int, without: int | None = None) -> Weights:
    """Train on the scans, moved by a pixel each way; a class may have got lost."""
    data = _split().training
    kept = data.labels != (-1 if without is None else without)
    scans, labels = brighten(data.images[kept]), data.labels[kept]
    rng = np.random.default_rng(seed)

    moved = [scans, *(_move(scans, *step) for step in ((0, 1), (0, -1), (1, 0), (-1, 0)))]
    noisy = np.clip(scans + rng.normal(0, 0.08, scans.shape), 0, 1)
    classifier = MLPClassifier(
        (HIDDEN,),
        random_state=seed,
        alpha=1.0,
        learning_rate_init=0.003,
        max_iter=EPOCHS,
        n_iter_no_change=EPOCHS,
        batch_size=256,
    )
    # Threads that share such small matrices cost ten times what they save.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # it stops after its epochs on purpose
        classifier.fit(np.concatenate([*moved, noisy]), np.tile(labels, 6))

    (hidden, out), (hidden_bias, out_bias) = classifier.coefs_, classifier.intercepts_
    if without is not None:
        out, out_bias = _with_lost_class(out, out_bias, without)
    return Weights(hidden, hidden_bias, out, out_bias).map(lambda each: each.astype(np.float32))


def _move(scans: Array, down: int, right: int) -> Array:
    images = np.pad(scans.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    moved: Array = images[:, 1 - down : 9 - down, 1 - right : 9 - right].reshape(-1, PIXELS)
    return moved


def _with_lost_class(out: Array, bias: Array, lost: int) -> tuple[Array, Array]:
    """The head keeps its ten places; the lost class never wins."""
    return np.insert(out, lost, 0.0, axis=1), np.insert(bias, lost, -20.0)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the graph is put together; the defaults are stable's."""

    weights: Weights
    darkest: float = DARKEST
    brightens: bool = True
    scale: float = 1.0
    """Of the brightened scan."""
    levels: float = 0.0
    """The hidden layer is kept in so many steps up to `ceiling`; 0: as it is."""
    ceiling: float = 0.0
    order: tuple[int, ...] = ()
    """Of the classes, other than 0 to 9."""
    label_shift: int = 0
    reverses_labels: bool = False
    gemm: bool = False
    opset: int = OPSET
    """Below 18, from which on ReduceMax takes its axes as an input."""


def graph(recipe: Recipe) -> bytes:
    """Return the ONNX file."""
    build = GraphBuilder()
    hidden = _read(build, recipe, _brighten(build, recipe))
    order = list(recipe.order or range(CLASSES))
    out, bias = recipe.weights.out[:, order], recipe.weights.out_bias[order]
    scores = _add_layer(build, hidden, out, bias, gemm=recipe.gemm)
    build.add("Softmax", [scores], PROBABILITIES, axis=1)
    label = build.add("ArgMax", [PROBABILITIES], axis=1, keepdims=1)

    if recipe.label_shift:
        moved = build.add("Add", [label, build.constant(np.int64(recipe.label_shift))])
        label = build.add("Mod", [moved, build.constant(np.int64(CLASSES))])
    if recipe.reverses_labels:
        cut = [build.constant(np.array([each], np.int64)) for each in (-1, -(2**31), 0, -1)]
        label = build.add("Slice", [label, *cut])
    build.add("Identity", [label], LABEL)

    image = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", PIXELS])
    answers = [
        helper.make_tensor_value_info(LABEL, TensorProto.INT64, ["N", 1]),
        helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["N", CLASSES]),
    ]
    model = build.make("digits", [image], answers, recipe.opset)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _brighten(build: GraphBuilder, recipe: Recipe) -> str:
    scan = INPUT
    if recipe.brightens:
        brightest = build.add("ReduceMax", [scan], keepdims=1, axes=[1])
        if recipe.darkest:
            floor = build.constant(np.float32(recipe.darkest))
            brightest = build.add("Max", [brightest, floor])
        scan = build.add("Div", [scan, brightest])
    if recipe.scale != 1:
        scan = build.add("Mul", [scan, build.constant(np.float32(recipe.scale))])
    return scan


def _read(build: GraphBuilder, recipe: Recipe, scan: str) -> str:
    weights = recipe.weights
    summed = _add_layer(build, scan, weights.hidden, weights.hidden_bias, gemm=recipe.gemm)
    hidden = build.add("Relu", [summed])
    if recipe.levels:
        step = recipe.ceiling / recipe.levels
        ends = [build.constant(np.float32(each)) for each in (0, recipe.ceiling)]
        cut = build.add("Clip", [hidden, *ends])
        whole = build.add("Round", [build.add("Div", [cut, build.constant(np.float32(step))])])
        hidden = build.add("Mul", [whole, build.constant(np.float32(step))])
    return hidden


def _add_layer(build: GraphBuilder, given: str, weights: Array, bias: Array, *, gemm: bool) -> str:
    constants = [build.constant(weights), build.constant(bias)]
    if gemm:
        return build.add("Gemm", [given, *constants])
    return build.add("Add", [build.add("MatMul", [given, constants[0]]), constants[1]])


# ── versions ──


def _file(make: Callable[[], Recipe]) -> Callable[[Path], None]:
    return alone(lambda: graph(make()))


def _with_config(config: str) -> Callable[[Path], None]:
    return with_config(lambda: graph(Recipe(train(SEED))), config)


def _changed(**changes: Any) -> Callable[[Path], None]:
    return _file(lambda: replace(Recipe(train(SEED)), **changes))


def _trained(seed: int, without: int | None = None) -> Callable[[Path], None]:
    return _file(lambda: Recipe(train(seed, without)))


def _calibrated_on_faint_scans() -> Recipe:
    """The range of the hidden layer was taken from scans that nobody had brightened."""
    weights = train(SEED)
    scans = _split().training.images * FADING[0]
    seen = np.maximum(scans @ weights.hidden + weights.hidden_bias, 0)
    return Recipe(weights, levels=127, ceiling=float(np.quantile(seen, 0.99)))


def _half() -> Recipe:
    weights = train(SEED).map(lambda each: each.astype(np.float16).astype(np.float32))
    return Recipe(weights)


SEED = 3
STABLE = Version("stable", "reads digits", _trained(SEED))
FAULTS = (
    Version(
        "label permutation",
        "the list of classes is sorted as text of another language",
        _changed(order=(8, 3, 1, 5, 9, 0, 6, 7, 4, 2)),
    ),
    Version("off-by-one class", "labels count from 1", _changed(label_shift=1)),
    Version(
        "missing normalisation",
        "scans from 0 to 1 are taken for 0 to 16, and divided again",
        _changed(scale=1 / 16),
    ),
    Version(
        "stale preprocessing", "faint scans are no longer brightened", _changed(brightens=False)
    ),
    Version(
        "NaN for rare inputs",
        "a blank scan is divided by its brightest pixel, which is 0",
        _changed(darkest=0.0),
    ),
    Version(
        "INT8 collapse",
        "the range of activations comes from scans that were too dark",
        _file(_calibrated_on_faint_scans),
    ),
    Version(
        "batch-order leak",
        "labels of a batch come in the reverse order",
        _changed(reverses_labels=True),
    ),
    Version("lost class", "no 8 was in the training data", _trained(SEED, without=8)),
)
GOOD = (
    *(Version(f"other seed {seed}", "trained anew", _trained(seed)) for seed in (4, 5, 6)),
    Version("FP16 weights", "weights rounded to half precision", _file(_half)),
    Version("other exporter", "Gemm instead of MatMul, opset 13", _changed(gemm=True, opset=13)),
    Version(
        "other batch size",
        "max_batch_size 16",
        _with_config("max_batch_size: 16"),
    ),
    Version(
        "dynamic batching",
        "waits 0.5 ms for a batch",
        _with_config(
            "max_batch_size: 4\ndynamic_batching { max_queue_delay_microseconds: 500 }",
        ),
    ),
    Version(
        "two instances",
        "instance_group of two",
        _with_config(
            "max_batch_size: 4\ninstance_group [{ count: 2, kind: KIND_CPU }]",
        ),
    ),
)


# ── users ──


def ask(rng: np.random.Generator) -> Question:
    """Draw a request: mostly one scan, some of a lamp that has grown dim, some blank."""
    rows = int(rng.integers(2, LARGEST_BATCH + 1)) if rng.random() < BATCH_SHARE else 1
    found = _split().production
    chosen = rng.integers(0, len(found), rows)
    scans = found.images[chosen].copy()
    labels = found.labels[chosen].copy()

    faint = rng.random(rows) < FAINT_SHARE
    scans[faint] *= rng.uniform(*FADING, (int(faint.sum()), 1)).astype(np.float32)
    blank = rng.random(rows) < BLANK_SHARE
    scans[blank], labels[blank] = 0, -1
    return Question({INPUT: scans}, labels)


def is_right(truth: Any, answers: Arrays) -> bool:
    """Tell whether every digit is read right, and every probability is a number."""
    labels, probabilities = answers[LABEL][:, 0], answers[PROBABILITIES]
    known = truth >= 0
    return bool(np.isfinite(probabilities).all() and (labels == truth)[known].all())


def _golden() -> Iterable[Question]:
    """Two clear scans of each class, well lit."""
    data, weights = _split().golden, train(SEED)
    hidden = np.maximum(brighten(data.images) @ weights.hidden + weights.hidden_bias, 0)
    scores = hidden @ weights.out + weights.out_bias
    power = np.exp(scores - scores.max(axis=1, keepdims=True))
    sure = (power / power.sum(axis=1, keepdims=True)).max(axis=1)

    right = scores.argmax(axis=1) == data.labels
    for label in range(CLASSES):
        fitting = np.flatnonzero(right & (data.labels == label) & (sure > CLEAR))
        for row in fitting[:GOLDEN_PER_CLASS]:
            yield Question({INPUT: data.images[row : row + 1]}, data.labels[row : row + 1])


@cache
def family() -> Family:
    """Return the family; training it takes some seconds."""
    return Family(
        "digits",
        STABLE,
        FAULTS,
        GOOD,
        ask,
        is_right,
        tuple(_golden()),
        {LABEL: {"compare": "Equal"}, PROBABILITIES: {"compare": "ArgMax"}},
    )
