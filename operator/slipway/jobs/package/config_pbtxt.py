"""config.pbtxt: the source's own file wins, the request fills in the rest, raw text is merged last.

What the source sets at the top level is never changed, except for ``name`` and ``version_policy``:
both are dropped, because the layout of the model repository decides them.
"""

import math
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from slipway.api.reasons import Reason
from slipway.api.request import ConfigRequest, ModelFormat
from slipway.api.result import Signature, TensorSpec
from slipway.errors import JobFailure
from slipway.jobs.package.declared_signature import (
    declared_signature,
    element_bytes,
    triton_type,
)
from slipway.jobs.package.onnx_graph import OnnxGraph
from slipway.jobs.package.pbtxt_fields import top_level_fields
from slipway.jobs.package.python_environment import (
    ENVIRONMENT,
    MODEL_DIRECTORY,
    PYTHON,
    choose_environment,
    named_environment,
)
from slipway.render.model_formats import BY_FORMAT, FIL_TYPES, Declared

DEFAULT_MAX_QUEUE_SIZE = 256
"""Requests that wait in a server before it answers 503; without a limit clients could wait for
ever."""
DEFAULT_MAX_BATCH_SIZE = 4
"""Triton's own default for an ONNX graph that can batch."""
FIL_PARAMETER = "model_type"
FIL_MAX_BATCH_SIZE = 1024
"""FIL wants one, and trees take little memory a row."""
CONFIG_OF_STEPS = "config.pbtxt of the models that it passes tensors between"
CONFIG_PLACES = "the source's config.pbtxt or in spec.model.config.raw"
PLAIN_EXAMPLE = (
    'input [{ name: "x" data_type: TYPE_FP32 dims: [3] }] '
    'output [{ name: "y" data_type: TYPE_FP32 dims: [3] }]'
)
EXAMPLES = {
    ModelFormat.TORCHSCRIPT: PLAIN_EXAMPLE.replace('"x"', '"INPUT__0"').replace(
        '"y"', '"OUTPUT__0"'
    ),
    ModelFormat.FIL: PLAIN_EXAMPLE.replace('"x"', '"input__0"').replace('"y"', '"output__0"'),
    ModelFormat.PYTHON: f"{PLAIN_EXAMPLE}; or a method auto_complete_config in model.py",
}
"""Tensors of the formats that do not tell Triton their own, as their backends name them."""
REVISION_TAG = "revision"
WARMUP_NAME = "slipway"
MOST_WARMUP_BYTES = 2**31 - 1
"""Of one request; Triton ends by signal 11 where it has no memory for one."""
EXAMPLE_SIZE = 224
"""Size of a dimension that varies, in an example for people."""
BY_PLATFORM = frozenset({ModelFormat.TENSORRT, ModelFormat.TENSORFLOW})
"""Formats that Triton knows by their platform, because their backend serves several."""
BATCHING_FORMATS = frozenset({ModelFormat.ONNX, ModelFormat.TENSORRT, ModelFormat.TENSORFLOW})
"""Formats whose backends turn on the dynamic batcher by themselves where the model batches."""
INSTANCE_KINDS = {"Auto": "KIND_AUTO", "CPU": "KIND_CPU", "GPU": "KIND_GPU"}


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """The config.pbtxt that came with the model."""

    message: Any
    """Triton's ModelConfig message."""
    fields: frozenset[str]
    """Top-level fields that the text sets, even to their default."""

    @property
    def declared(self) -> Declared:
        """What it declares about the model file."""
        message = self.message
        return Declared(
            message.backend,
            message.platform,
            message.default_model_filename,
            tuple(message.version_policy.specific.versions),
        )


NO_SOURCE_CONFIG = SourceConfig(ModelConfig(), frozenset())


@dataclass(slots=True)
class FinishedConfig:
    """A complete config.pbtxt."""

    text: str
    signature: Signature | None
    """The model's inputs and outputs; None where nothing declares them."""
    warnings: list[str] = field(default_factory=list)


def parse_config(text: str, where: str) -> SourceConfig:
    """Return the configuration in a protobuf text, which errors call `where`.

    A field that this version of Triton's schema does not know is an error: nothing that a user
    wrote may be ignored silently.

    Raises:
        JobFailure: ConfigInvalid, with line, column and field.

    """
    try:
        message = text_format.Parse(text, ModelConfig())
    except text_format.ParseError as error:
        raise _config_invalid(f"{where}: {error}") from error

    return SourceConfig(message, top_level_fields(text))


@dataclass(frozen=True, slots=True)
class ModelFile:
    """What the model's file itself says."""

    graph: OnnxGraph | None = None
    """The graph, if it is an ONNX model that could be read."""
    name: str = ""
    """Name in the version directory; empty where nothing tells it."""
    declares_tensors: bool = False
    """Whether code in it tells Triton its inputs and outputs."""
    environments: tuple[str, ...] = ()
    """Packed environments of a Python model, by their names in the model's directory."""


def fill_config(
    source: SourceConfig, request: ConfigRequest, model_format: ModelFormat, file: ModelFile
) -> FinishedConfig:
    """Return the config.pbtxt that Triton gets, and the signature if it is known.

    Args:
        source: the source's own config.pbtxt.
        request: the fields of the spec.
        model_format: how the model is stored.
        file: what the model's file says.

    Raises:
        JobFailure: ConfigInvalid if fields contradict each other, or one that the format needs is
            missing; WarmupImpossible if warm-up is requested and nothing declares the inputs.

    """
    draft = _ConfigDraft(source, request, model_format, file)
    draft.fill()

    return FinishedConfig(
        text_format.MessageToString(draft.config),
        declared_signature(draft.config, file.graph),
        warnings=draft.warnings,
    )


class _ConfigDraft:
    """A configuration in the making; each step fills in one top-level field unless it is set."""

    def __init__(
        self,
        source: SourceConfig,
        request: ConfigRequest,
        model_format: ModelFormat,
        file: ModelFile,
    ) -> None:
        self.config: Any = ModelConfig()
        self.config.CopyFrom(source.message)
        self.warnings: list[str] = []
        self._set = source.fields
        self._request = request
        self._format = model_format
        self._file = file
        self._graph = file.graph

    def fill(self) -> None:
        self._drop_what_the_layout_decides()
        self._fill_backend()
        self._fill_max_batch_size()
        self._fill_batching()  # after the batch size, which decides whether there is any
        self._fill_instances()
        self._fill_revision_tag()

        # Raw text overrides all of the above, so what follows looks at its result.
        self._merge_raw()
        self._fill_environment()
        self._require_declared_tensors()
        self._require_gpu()
        self._require_batchable()
        self._require_no_scalars()
        self._fill_warmup()

    def _is_free(self, name: str) -> bool:
        return name not in self._set

    @property
    def _is_ensemble(self) -> bool:
        return Declared(platform=self.config.platform).is_ensemble

    def _drop_what_the_layout_decides(self) -> None:
        name, model = self.config.name, self._request.model_name
        if name not in {"", model}:
            self.warnings.append(f"config.pbtxt names {name!r}; the model is served as {model!r}")
        self.config.ClearField("name")

        if self.config.HasField("version_policy"):
            self.warnings.append("dropped version_policy: a server has exactly one version")
            self.config.ClearField("version_policy")

    def _fill_backend(self) -> None:
        if self._format is ModelFormat.REPOSITORY or self._set & {"backend", "platform"}:
            return

        known = BY_FORMAT[self._format]
        if self._format is ModelFormat.FIL and FIL_PARAMETER not in self.config.parameters:
            model_type = FIL_TYPES.get(self._file.name, "")
            self.config.parameters[FIL_PARAMETER].string_value = model_type
        if self._format in BY_PLATFORM:
            self.config.platform = known.platforms[0]
        else:
            self.config.backend = known.backend

    def _fill_max_batch_size(self) -> None:
        if not self._is_free("max_batch_size"):
            return

        requested = self._request.max_batch_size
        if requested is not None:
            self.config.max_batch_size = requested
            if requested == 0:
                self._declare_tensors()
        elif self._graph is not None and self._graph.can_batch and not self.config.input:
            self.config.max_batch_size = DEFAULT_MAX_BATCH_SIZE
        elif self._format is ModelFormat.FIL:
            self.config.max_batch_size = FIL_MAX_BATCH_SIZE

    def _declare_tensors(self) -> None:
        """Declare all tensors, without which Triton takes a batch size of zero for "detect it"."""
        if self._graph is None or self._set & {"input", "output"}:
            return

        for target, tensors in (
            (self.config.input, self._graph.inputs),
            (self.config.output, self._graph.outputs),
        ):
            for tensor in tensors:
                target.add(
                    name=tensor.name, data_type=triton_type(tensor.datatype), dims=tensor.dims
                )

    def _fill_batching(self) -> None:
        requested = self._request.dynamic_batching
        if self.config.WhichOneof("scheduling_choice") is not None:
            self._warn_of_unbounded_queue()
            return

        if self.config.max_batch_size < 1:
            if requested is not None:
                raise _config_invalid(
                    "spec.model.config.dynamicBatching is set, but the model does not batch: "
                    f"found maxBatchSize {self.config.max_batch_size}, expected 1 or more"
                )
            return

        if requested is None and not self._triton_would_batch():
            return

        batching = self.config.dynamic_batching
        size = requested.max_queue_size if requested else None
        batching.default_queue_policy.max_queue_size = size or DEFAULT_MAX_QUEUE_SIZE
        if requested is not None:
            batching.preferred_batch_size.extend(requested.preferred_batch_sizes or [])
            batching.max_queue_delay_microseconds = requested.max_queue_delay_microseconds or 0

    def _triton_would_batch(self) -> bool:
        """Return whether Triton would choose the dynamic batcher by itself.

        Any other backend gets batches of several requests only if somebody asks for them: a Python
        model may read nothing but the first one.
        """
        declared = Declared(self.config.backend, self.config.platform)
        return declared.format in BATCHING_FORMATS

    def _warn_of_unbounded_queue(self) -> None:
        batching = self.config.dynamic_batching
        if (
            self.config.HasField("dynamic_batching")
            and not batching.default_queue_policy.max_queue_size
        ):
            self.warnings.append(
                "config.pbtxt sets dynamic_batching without default_queue_policy.max_queue_size: "
                "under overload, requests wait without limit"
            )

    def _fill_instances(self) -> None:
        request = self._request
        wanted = request.instance_count is not None or request.instance_kind is not None
        if wanted and self._is_ensemble:
            raise _config_invalid(
                "spec.model.config.instanceGroup is set, but an ensemble has no instances; "
                f"expected instance_group in the {CONFIG_OF_STEPS}"
            )
        if wanted and self._is_free("instance_group"):
            kind = INSTANCE_KINDS[request.instance_kind or "Auto"]
            self.config.instance_group.add(count=request.instance_count or 1, kind=kind)

    def _fill_revision_tag(self) -> None:
        if self._request.revision_tag is not None and self._is_free("metric_tags"):
            self.config.metric_tags[REVISION_TAG] = self._request.revision_tag

    def _merge_raw(self) -> None:
        """Merge messages, and maps by key; replace lists and numbers."""
        if not self._request.raw:
            return

        raw = parse_config(self._request.raw, "spec.model.config.raw")
        overridden = sorted(raw.fields & {item.name for item, _ in self.config.ListFields()})
        if overridden:
            self.warnings.append(f"spec.model.config.raw overrides {', '.join(overridden)}")

        # MergeFrom appends to lists and skips zeros, so what is to be replaced is cleared first.
        for name in raw.fields:
            descriptor = ModelConfig.DESCRIPTOR.fields_by_name[name]
            is_message = descriptor.type == descriptor.TYPE_MESSAGE
            is_map = is_message and descriptor.message_type.GetOptions().map_entry
            if not is_message or (descriptor.is_repeated and not is_map):
                self.config.ClearField(name)
        self.config.MergeFrom(raw.message)

    def _fill_environment(self) -> None:
        """Name the packed environment that lies beside a Python model."""
        if self.config.backend != PYTHON:
            return

        named = named_environment(self.config)
        chosen = choose_environment(self._file.environments, named, CONFIG_PLACES)
        if named is None and chosen is not None:
            self.config.parameters[ENVIRONMENT].string_value = chosen
            self.warnings.append(
                f"runs in the packed environment {chosen.removeprefix(MODEL_DIRECTORY)}"
            )

    def _require_declared_tensors(self) -> None:
        """Ask for what Triton would end without: no other format leaves it to the user."""
        example = EXAMPLES.get(self._format)
        if example is None or self._file.declares_tensors:
            return

        config = self.config
        missing = [name for name in ("input", "output") if not getattr(config, name)]
        if missing:
            raise _config_invalid(
                f"a model of format {self._format} does not say its tensors: found no "
                f"{' and no '.join(missing)}, expected both in {CONFIG_PLACES}, such as: {example}"
            )

    def _require_gpu(self) -> None:
        if self._format is ModelFormat.TENSORRT and self._request.has_gpu is False:
            raise _config_invalid(
                "a TensorRT plan runs on the GPU that it was built for: found no GPU in "
                "spec.server.resources.limits, expected nvidia.com/gpu or a resource claim in "
                "spec.server.pod.resourceClaims"
            )

    def _require_batchable(self) -> None:
        graph, size = self._graph, self.config.max_batch_size
        if graph is None or size == 0 or self.config.input or graph.can_batch:
            return

        fixed = next(
            item for item in (*graph.inputs, *graph.outputs) if not item.dims or item.dims[0] > 0
        )
        raise _config_invalid(
            f"max_batch_size is {size}, but the graph does not batch: found tensor {fixed.name!r} "
            f"with dimensions {fixed.dims}, expected a variable first dimension (export the model "
            "with a dynamic batch, or set maxBatchSize to 0)"
        )

    def _require_no_scalars(self) -> None:
        """Refuse a graph with a scalar, which Triton can only serve as a batch of scalars."""
        graph = self._graph
        if graph is None or self.config.max_batch_size > 0:
            return

        # What the user declared is the user's; entries without dims are those of the graph.
        declared = {item.name for item in (*self.config.input, *self.config.output) if item.dims}
        for kind, tensors in (("input", graph.inputs), ("output", graph.outputs)):
            for tensor in tensors:
                if tensor.name in graph.scalars - declared:
                    raise _config_invalid(
                        f"the graph's {kind} {tensor.name!r} is a scalar, which Triton does not "
                        "serve without batching; expected at least one dimension: export the model "
                        f"with {tensor.name!r} of shape [1], or wrap it in a Python model"
                    )

    def _fill_warmup(self) -> None:
        requests = self._request.warmup_requests
        if not requests or self.config.model_warmup:
            return
        if self._is_ensemble:
            raise _warmup_impossible(
                "spec.model.warmup is set, but Triton warms no ensemble up; expected model_warmup "
                f"in the {CONFIG_OF_STEPS}"
            )

        signature = declared_signature(self.config, self._graph)
        if signature is None or not signature.inputs:
            raise _warmup_impossible(
                "spec.model.warmup is set, but neither config.pbtxt nor an ONNX graph declares the "
                "inputs; expected `input` in config.pbtxt or in spec.model.config.raw",
            )

        size = 0
        warmup = self.config.model_warmup.add(name=WARMUP_NAME, batch_size=1, count=requests)
        for tensor in signature.inputs:
            if not tensor.optional:
                entry = warmup.inputs[tensor.name]
                entry.data_type = triton_type(tensor.datatype)
                entry.dims.extend(self._warmup_dims(tensor))
                entry.zero_data = True
                size += element_bytes(tensor.datatype) * math.prod(entry.dims)

        if size > MOST_WARMUP_BYTES:
            raise _warmup_impossible(
                f"a request of spec.model.warmup.shapes would have {size:,} bytes, expected at "
                f"most {MOST_WARMUP_BYTES:,}, the most that a request over gRPC can have"
            )

        unknown = (self._request.warmup_shapes or {}).keys() - {
            item.name for item in signature.inputs
        }
        if unknown:
            raise _warmup_impossible(
                f"spec.model.warmup.shapes names {min(unknown)!r}, found the inputs "
                f"{', '.join(item.name for item in signature.inputs)}"
            )

    def _warmup_dims(self, tensor: TensorSpec) -> list[int]:
        """Return the sizes of an input in warm-up requests, without the batch dimension."""
        dims, shape = tensor.dims, (self._request.warmup_shapes or {}).get(tensor.name)
        batches = self.config.max_batch_size > 0
        if not dims and batches:
            dims = [1]  # as Triton declares a batch of scalars

        if shape is not None:
            fits = len(shape) == len(dims) and all(
                wanted in {-1, size} for wanted, size in zip(dims, shape, strict=True)
            )
            if not fits:
                raise _warmup_impossible(
                    f"spec.model.warmup.shapes.{tensor.name} is {shape}, expected one that fits "
                    f"the dimensions {dims}"
                )
            return shape

        if not batches and dims[:1] == [-1]:
            dims = [1, *dims[1:]]  # a batch in all but name
        if -1 in dims:
            example = [size if size > 0 else EXAMPLE_SIZE for size in dims]
            raise _warmup_impossible(
                f"spec.model.warmup is set, and the sizes of input {tensor.name!r} with the "
                f"dimensions {dims} vary; expected the sizes that clients send, such as "
                f"spec.model.warmup.shapes.{tensor.name}: {example}"
            )
        return list(dims)


def _warmup_impossible(problem: str) -> JobFailure:
    return JobFailure(Reason.WARMUP_IMPOSSIBLE, problem)


def _config_invalid(problem: str) -> JobFailure:
    return JobFailure(Reason.CONFIG_INVALID, problem)
