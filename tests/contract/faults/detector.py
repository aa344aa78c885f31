"""Where is the writing? A public detector of text (PP-OCRv4), with its pre- and postprocessing.

The graph takes images as cameras make them (bytes; height, width, colours) and answers, for each,
the box around all writing in pixels (left, top, right, bottom) and how sure it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from tests.contract.faults.graphs import GraphBuilder, alone, with_config
from tests.contract.faults.version import Array, Arrays, Family, Question, Version
from tests.contract.zoo import install
from tests.contract.zoo.animals import OCR
from tests.models.digits import Split, load_split

FILE = f"{OCR}/ch_PP-OCRv4_det_infer.onnx"
IMAGE, BOX, CONFIDENCE = "image", "box", "confidence"
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
THRESHOLD = 0.3
"""Of the map's values; what is above is writing."""
OPSET = 13

SMALL, LARGE = (64, 96), (192, 256)
LARGE_SHARE, BATCH_SHARE = 0.08, 0.15
DIM_SHARE = 0.15
"""Of images: taken in bad light, so that ink and paper differ less."""
GOLDEN_SIZE = 12
ZOOM, EDGE = 3, 6
"""Pixels of a small image for each of the scan, and how far from its edge a number stays."""
GOOD_OVERLAP = 0.6
"""Intersection over union with the true box from which on a box is right."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the graph is put together; the defaults are stable's."""

    reverses_colours: bool = False
    scale: float = 1 / 255
    normalises: bool = True
    folds_mean: bool = False
    """Whether scale, mean and spread are one multiplication and one addition."""
    transposes_first: bool = False
    threshold: float = THRESHOLD
    grid: int = 0
    """Of the box's corners, in pixels; 0: none."""
    is_relative: bool = False
    """Whether the box is in shares of the image."""
    gives_size: bool = False
    """Whether the box is left, top, width, height."""
    attends: bool = False
    """Whether every pixel is compared with every other one."""
    extra: int = 0
    """Products of two matrices of 64 by 64, for nothing."""
    half: bool = False
    """Whether the weights were rounded to half precision."""


@cache
def _network(*, half: bool) -> Any:
    """Return the public model, its names prefixed, ready to be put between other nodes."""
    model = onnx.load(install.installed() / FILE)
    model.ir_version = 8
    if half:
        for weights in model.graph.initializer:
            values = numpy_helper.to_array(weights)
            if values.dtype == np.float32:
                rounded = values.astype(np.float16).astype(np.float32)
                weights.CopyFrom(numpy_helper.from_array(rounded, weights.name))
    return compose.add_prefix(model, "net_")


def graph(recipe: Recipe) -> bytes:
    """Return the ONNX file."""
    network = _network(half=recipe.half)
    opset = next(each.version for each in network.opset_import if each.domain in {"", "ai.onnx"})
    build = GraphBuilder()
    pixels = _prepare(build, recipe)
    build.add("Identity", [pixels], network.graph.input[0].name)
    build.take(network)
    heat = network.graph.output[0].name
    if recipe.attends:
        heat = _attend(build, heat)
    _find_box(build, recipe, heat)

    image = helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, ["N", "H", "W", 3])
    answers = [
        helper.make_tensor_value_info(BOX, TensorProto.FLOAT, ["N", 4]),
        helper.make_tensor_value_info(CONFIDENCE, TensorProto.FLOAT, ["N", 1]),
    ]
    model = build.make("detector", [image], answers, opset)
    return bytes(model.SerializeToString(deterministic=True))


def _prepare(build: GraphBuilder, recipe: Recipe) -> str:
    image = build.add("Cast", [IMAGE], to=TensorProto.FLOAT)
    if recipe.reverses_colours:
        order = build.constant(np.array([2, 1, 0], np.int64))
        image = build.add("Gather", [image, order], axis=3)
    if recipe.transposes_first:
        image = build.add("Transpose", [image], perm=[0, 3, 1, 2])
    shape = (1, 3, 1, 1) if recipe.transposes_first else (1, 1, 1, 3)

    mean, spread = (np.array(each, np.float32).reshape(shape) for each in (MEAN, SPREAD))
    if recipe.folds_mean:
        image = build.add("Mul", [image, build.constant(np.float32(recipe.scale) / spread)])
        image = build.add("Sub", [image, build.constant(mean / spread)])
    else:
        image = build.add("Mul", [image, build.constant(np.float32(recipe.scale))])
        if recipe.normalises:
            image = build.add("Sub", [image, build.constant(mean)])
            image = build.add("Div", [image, build.constant(spread)])

    if not recipe.transposes_first:
        image = build.add("Transpose", [image], perm=[0, 3, 1, 2])
    if recipe.extra:
        image = _waste(build, image, recipe.extra)
    return image


def _waste(build: GraphBuilder, image: str, times: int) -> str:
    """Spend time that depends on nothing but `times`."""
    found = build.add("ReduceMean", [image], keepdims=0)
    square = build.constant(np.full((64, 64), 1 / 64, np.float32))
    product = build.add("Mul", [square, found])
    for _ in range(times):
        product = build.add("MatMul", [product, square])
    nothing = build.add("Mul", [product, build.constant(np.float32(0))])
    return build.add("Add", [image, build.add("ReduceMax", [nothing], keepdims=0)])


def _attend(build: GraphBuilder, heat: str) -> str:
    """Compare every second pixel of each side with every other: time grows with the area twice."""
    pooled = build.add("MaxPool", [heat], kernel_shape=[2, 2], strides=[2, 2])
    column = build.add("Reshape", [pooled, build.constant(np.array([0, -1, 1], np.int64))])
    row = build.add("Reshape", [pooled, build.constant(np.array([0, 1, -1], np.int64))])
    likeness = build.add("MatMul", [column, row])
    most = build.add("ReduceMax", [likeness], axes=[1, 2], keepdims=1)
    nothing = build.add("Mul", [most, build.constant(np.float32(0))])
    shape = build.constant(np.array([-1, 1, 1, 1], np.int64))
    return build.add("Add", [heat, build.add("Reshape", [nothing, shape])])


def _find_box(build: GraphBuilder, recipe: Recipe, heat: str) -> None:
    """The first and the last column and row in which something is above the threshold, widened.

    The network marks the inner part of a line, as area · ratio / perimeter has it.
    """
    above = build.add("Greater", [heat, build.constant(np.float32(recipe.threshold))])
    mask = build.add("Cast", [above], to=TensorProto.FLOAT)
    corners = [
        _edge(build, mask, axis, last=last)
        for last in (False, True)
        for axis in ("columns", "rows")
    ]
    corners = _widen(build, corners)
    if recipe.gives_size:
        corners[2:] = [build.add("Sub", [corners[i + 2], corners[i]]) for i in (0, 1)]
    box = build.add("Concat", corners, axis=1)

    if recipe.grid:
        grid = build.constant(np.float32(recipe.grid))
        box = build.add("Mul", [build.add("Floor", [build.add("Div", [box, grid])]), grid])
    if recipe.is_relative:
        box = build.add("Div", [box, _size(build, heat)])
    build.add("Identity", [box], BOX)
    build.add("ReduceMax", [heat], CONFIDENCE, axes=[2, 3], keepdims=0)


def _widen(build: GraphBuilder, corners: list[str]) -> list[str]:
    width, height = (build.add("Sub", [corners[i + 2], corners[i]]) for i in (0, 1))
    doubled = build.add("Mul", [build.add("Add", [width, height]), build.constant(np.float32(2))])
    around = build.add("Max", [doubled, build.constant(np.float32(1))])
    margin = build.add("Div", [build.add("Mul", [width, height]), around])
    kinds = ("Sub", "Sub", "Add", "Add")
    return [build.add(kind, [edge, margin]) for kind, edge in zip(kinds, corners, strict=True)]


def _edge(build: GraphBuilder, mask: str, side: str, *, last: bool) -> str:
    across = 2 if side == "columns" else 3
    seen = build.add("ReduceMax", [mask], axes=[1, across], keepdims=0)
    place = build.add("ArgMax", [seen], axis=1, keepdims=1, select_last_index=int(last))
    return build.add("Cast", [place], to=TensorProto.FLOAT)


def _size(build: GraphBuilder, heat: str) -> str:
    shape = build.add("Cast", [build.add("Shape", [heat])], to=TensorProto.FLOAT)
    sides = build.constant(np.array([3, 2, 3, 2], np.int64))
    return build.add("Gather", [shape, sides], axis=0)


# ── versions ──


def _changed(**changes: Any) -> Callable[[Path], None]:
    return alone(lambda: graph(replace(Recipe(), **changes)))


def _with_config(config: str) -> Callable[[Path], None]:
    return with_config(lambda: graph(Recipe()), config)


STABLE = Version("stable", "finds writing", _changed())
FAULTS = (
    Version("channel order", "red and blue change places", _changed(reverses_colours=True)),
    Version(
        "missing mean and spread",
        "colours are divided by 255 and no more",
        _changed(normalises=False),
    ),
    Version("unit change", "the box is in shares of the image", _changed(is_relative=True)),
    Version("format of boxes", "width and height for right and bottom", _changed(gives_size=True)),
    Version("rounding", "corners are rounded down to 4 pixels", _changed(grid=4)),
    Version("threshold", "0.8 instead of 0.3", _changed(threshold=0.8)),
    Version("batch limit", "max_batch_size 2 instead of 4", _with_config("max_batch_size: 2")),
    Version(
        "slow on large inputs",
        "every pixel is compared with every other",
        _changed(attends=True),
    ),
)
GOOD = (
    Version("FP16 weights", "weights rounded to half precision", _changed(half=True)),
    Version("folded normalisation", "one product and one sum", _changed(folds_mean=True)),
    Version("other order of steps", "colours come first", _changed(transposes_first=True)),
    Version("other batch size", "max_batch_size 8", _with_config("max_batch_size: 8")),
    Version("slower by 5%", "some products for nothing", _changed(extra=12)),
    Version(
        "dynamic batching",
        "waits 0.5 ms for a batch",
        _with_config("max_batch_size: 4\ndynamic_batching { max_queue_delay_microseconds: 500 }"),
    ),
    Version(
        "two instances",
        "instance_group of two",
        _with_config("max_batch_size: 4\ninstance_group [{ count: 2, kind: KIND_CPU }]"),
    ),
    Version(
        "FP16 weights, folded",
        "both of these at once",
        _changed(half=True, folds_mean=True, transposes_first=True),
    ),
)


# ── users ──


def ask(rng: np.random.Generator) -> Question:
    """Draw a request: mostly one small image."""
    if rng.random() < LARGE_SHARE:
        return _question([_scene(rng, LARGE)])
    rows = int(rng.integers(2, 5)) if rng.random() < BATCH_SHARE else 1
    return _question([_scene(rng, SMALL, may_be_dim=True) for _ in range(rows)])


def _question(scenes: Sequence[tuple[Array, Array]]) -> Question:
    images, boxes = zip(*scenes, strict=True)
    return Question({IMAGE: np.stack(images)}, np.stack(boxes))


def _scene(
    rng: np.random.Generator, size: tuple[int, int], *, may_be_dim: bool = False
) -> tuple[Array, Array]:
    """Return a number in ink on paper of another colour, and the box around it."""
    height, width = size
    ink = _number(rng, int(rng.integers(2, 4)), ZOOM if size == SMALL else 2 * ZOOM)
    top = int(rng.integers(EDGE, height - ink.shape[0] - EDGE))
    left = int(rng.integers(EDGE, width - ink.shape[1] - EDGE))

    colours = rng.uniform(160, 250, 3), rng.uniform(0, 90, 3)
    if may_be_dim and rng.random() < DIM_SHARE:
        colours = colours[0] * 0.5, colours[1] + 20
    cover = np.zeros((height, width, 1))
    cover[top : top + ink.shape[0], left : left + ink.shape[1], 0] = ink
    image = colours[0] * (1 - cover) + colours[1] * cover + rng.normal(0, 4, (height, width, 3))

    rows, columns = np.flatnonzero(ink.max(1) > 0.5), np.flatnonzero(ink.max(0) > 0.5)
    box = [left + columns[0], top + rows[0], left + columns[-1], top + rows[-1]]
    return np.clip(image, 0, 255).astype(np.uint8), np.array(box, float)


@cache
def _split() -> Split:
    return load_split()


def _number(rng: np.random.Generator, digits: int, zoom: int) -> Array:
    scans = _split().production.images
    chosen = scans[rng.integers(0, len(scans), digits)].reshape(-1, 8, 8)
    line = np.concatenate([np.pad(each, ((0, 0), (0, 1))) for each in chosen], axis=1)
    return _smooth(np.kron(line, np.ones((zoom, zoom))), zoom)


def _smooth(ink: Array, zoom: int) -> Array:
    """Blur over one pixel of the scan, so that no square can be seen."""
    window = np.ones(zoom) / zoom
    for axis in (0, 1):
        ink = np.apply_along_axis(np.convolve, axis, ink, window, "same")
    return np.clip(1.5 * ink, 0, 1)


def is_right(truth: Any, answers: Arrays) -> bool:
    """Tell whether every box overlaps the true one well enough."""
    return all(
        overlap(box, true) >= GOOD_OVERLAP for box, true in zip(answers[BOX], truth, strict=True)
    )


def overlap(one: Array, other: Array) -> float:
    """Return intersection over union of two boxes."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]) + 1
    shared = float(np.prod(np.maximum(sides, 0)))
    areas = [float(np.prod(np.maximum(box[2:] - box[:2] + 1, 0))) for box in (one, other)]
    return shared / (sum(areas) - shared) if sum(areas) > shared else 0.0


def _golden() -> tuple[Question, ...]:
    """Small images in good light."""
    rng = np.random.default_rng(12)
    return tuple(_question([_scene(rng, SMALL)]) for _ in range(GOLDEN_SIZE))


@cache
def family() -> Family:
    """Return the family; its model is downloaded once."""
    return Family(
        "detector",
        STABLE,
        FAULTS,
        GOOD,
        ask,
        is_right,
        _golden(),
        {
            BOX: {"compare": "Tolerance", "rtol": 0.0, "atol": 2.0},
            CONFIDENCE: {"compare": "Tolerance", "rtol": 0.05, "atol": 0.02},
        },
    )
