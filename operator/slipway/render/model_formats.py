"""What Triton calls each model format: backend, platform and file name."""

from dataclasses import dataclass

from slipway.api.request import ModelFormat


@dataclass(frozen=True, slots=True)
class TritonBackend:
    """How Triton serves a format."""

    format: ModelFormat
    file: str
    """Name of the model in the version directory, unless config.pbtxt names another."""
    suffixes: tuple[str, ...]
    backend: str
    platforms: tuple[str, ...] = ()


FIL_TYPES = {
    "xgboost.ubj": "xgboost_ubj",
    "xgboost.json": "xgboost_json",
    "xgboost.model": "xgboost",
    "model.txt": "lightgbm",
    "checkpoint.tl": "treelite_checkpoint",
}
"""The file that the FIL backend looks for, and the parameter `model_type` that it needs for it."""
FIL_FILES = {
    ".ubj": "xgboost.ubj",
    ".json": "xgboost.json",
    ".model": "xgboost.model",
    ".txt": "model.txt",
    ".tl": "checkpoint.tl",
}
FIL_SUFFIXES = (".ubj", ".tl")
"""Suffixes that only trees have; the others need spec.model.format, or the backend's own name."""

BACKENDS = (
    TritonBackend(ModelFormat.ONNX, "model.onnx", (".onnx",), "onnxruntime", ("onnxruntime_onnx",)),
    TritonBackend(
        ModelFormat.TENSORRT, "model.plan", (".plan", ".engine"), "tensorrt", ("tensorrt_plan",)
    ),
    TritonBackend(
        ModelFormat.TORCHSCRIPT,
        "model.pt",
        (".pt", ".pth", ".torchscript", ".jit"),
        "pytorch",
        ("pytorch_libtorch",),
    ),
    TritonBackend(
        ModelFormat.TENSORFLOW,
        "model.savedmodel",
        (".savedmodel",),
        "tensorflow",
        ("tensorflow_savedmodel", "tensorflow_graphdef"),
    ),
    TritonBackend(ModelFormat.OPENVINO, "model.xml", (".xml",), "openvino"),
    TritonBackend(ModelFormat.PYTHON, "model.py", (), "python"),
)
FIL = TritonBackend(ModelFormat.FIL, "", FIL_SUFFIXES, "fil")
"""Apart, because its file has five names, some of which other models have beside theirs."""
MODEL_FILES = frozenset(backend.file for backend in BACKENDS)
MODEL_SUFFIXES = tuple(suffix for backend in BACKENDS for suffix in backend.suffixes)
TEXT_SUFFIXES = (".xml",)
BINARY_SUFFIXES = tuple(suffix for suffix in MODEL_SUFFIXES if suffix not in TEXT_SUFFIXES)
"""Suffixes of models that never begin with text."""
BY_FORMAT = {backend.format: backend for backend in (*BACKENDS, FIL)}


@dataclass(frozen=True, slots=True)
class Declared:
    """What the source's config.pbtxt declares about its model file."""

    backend: str = ""
    platform: str = ""
    default_model_filename: str = ""
    versions: tuple[int, ...] = ()
    """Versions that its version_policy names; empty where it names none."""

    @property
    def format(self) -> ModelFormat | None:
        """The format of a known backend or platform; None otherwise."""
        for known in BACKENDS:
            if self.backend == known.backend or self.platform in known.platforms:
                return known.format
        return None

    @property
    def is_fil(self) -> bool:
        """Whether the FIL backend serves it; its files are then as that backend wants them."""
        return self.backend == FIL.backend

    @property
    def is_ensemble(self) -> bool:
        """Whether it has no files of its own, because it only passes tensors between models."""
        return self.platform == "ensemble"

    @property
    def is_foreign(self) -> bool:
        """Whether it names an unknown backend, whose files are then taken as they are."""
        return bool(self.backend or self.platform) and self.format is None

    def __str__(self) -> str:
        return f"backend {self.backend!r}" if self.backend else f"platform {self.platform!r}"
