"""config.pbtxt: the source's own file wins, the order fills what it leaves out, raw text is last.

What the source sets at the top level is never edited, with two exceptions that the fixed layout
asks for: ``name`` and ``version_policy`` are dropped.
"""

from dataclasses import dataclass, field
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from slipway.api.reasons import Reason
from slipway.api.request import ConfigRequest, ModelFormat
from slipway.api.result import Signature
from slipway.errors import JobFailure
from slipway.jobs.package.declared_signature import declared_signature, triton_type
from slipway.jobs.package.onnx_graph import OnnxGraph
from slipway.jobs.package.pbtxt_fields import top_level_fields
from slipway.render.model_formats import BY_FORMAT, Declared

DEFAULT_MAX_QUEUE_SIZE = 256
"""Requests that wait in a server before it answers 503: unbounded, clients would wait for ever."""
DEFAULT_MAX_BATCH_SIZE = 4
"""What Triton's ONNX backend takes for a graph that can batch when nobody says a number."""
REVISION_TAG = "revision"
WARMUP_NAME = "slipway"
BY_PLATFORM = frozenset({ModelFormat.TENSORRT, ModelFormat.TENSORFLOW})
"""Formats for which Triton wants the platform, since the backend serves several."""
INSTANCE_KINDS = {"Auto": "KIND_AUTO", "CPU": "KIND_CPU", "GPU": "KIND_GPU"}


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """The config.pbtxt that came with the model."""

    message: Any
    """A ModelConfig."""
    fields: frozenset[str]
    """Top-level fields that the text sets, also to their default."""

    @property
    def declared(self) -> Declared:
        """What it says about the model file."""
        message = self.message
        return Declared(message.backend, message.platform, message.default_model_filename)


NO_SOURCE_CONFIG = SourceConfig(ModelConfig(), frozenset())


@dataclass(slots=True)
class FinishedConfig:
    """A finished config.pbtxt."""

    text: str
    signature: Signature | None
    warnings: list[str] = field(default_factory=list)


def parse_config(text: str, where: str) -> SourceConfig:
    """Read protobuf text; `where` names it in errors.

    A field that this version of Triton's schema does not know is an error, since nothing may get
    lost in silence.

    Raises:
        JobFailure: reason ConfigInvalid, with line, column and field.

    """
    try:
        message = text_format.Parse(text, ModelConfig())
    except text_format.ParseError as error:
        raise _config_invalid(f"{where}: {error}") from error
    return SourceConfig(message, top_level_fields(text))


def fill_config(
    source: SourceConfig, order: ConfigRequest, format_: ModelFormat, graph: OnnxGraph | None
) -> FinishedConfig:
    """Return the config.pbtxt that Triton gets, and the signature as far as it is known.

    Raises:
        JobFailure: ConfigInvalid where fields contradict each other; WarmupImpossible where
            warm-up is asked for and nobody says what the inputs are.

    """
    draft = _Draft(source, order, format_, graph)
    draft.fill()
    return FinishedConfig(
        text_format.MessageToString(draft.config),
        declared_signature(draft.config, graph),
        warnings=draft.warnings,
    )


class _Draft:
    """A config in the making; each step adds one top-level field unless it is set."""

    def __init__(
        self,
        source: SourceConfig,
        order: ConfigRequest,
        format_: ModelFormat,
        graph: OnnxGraph | None,
    ) -> None:
        self.config: Any = ModelConfig()
        self.config.CopyFrom(source.message)
        self.warnings: list[str] = []
        self._set = source.fields
        self._order = order
        self._format = format_
        self._graph = graph

    def fill(self) -> None:
        self._drop_what_the_layout_decides()
        self._fill_backend()
        self._fill_max_batch_size()
        self._fill_batching()
        self._fill_instances()
        self._fill_revision_tag()
        self._merge_raw()
        self._require_batchable()
        self._fill_warmup()

    def _is_free(self, name: str) -> bool:
        return name not in self._set

    def _drop_what_the_layout_decides(self) -> None:
        name, model = self.config.name, self._order.model_name
        if name not in {"", model}:
            self.warnings.append(f"config.pbtxt is for {name!r}; it is served as {model!r}")
        self.config.ClearField("name")
        if self.config.HasField("version_policy"):
            self.warnings.append("version_policy is left out: a server has one version")
            self.config.ClearField("version_policy")

    def _fill_backend(self) -> None:
        if self._format is ModelFormat.REPOSITORY or self._set & {"backend", "platform"}:
            return
        known = BY_FORMAT[self._format]
        if self._format in BY_PLATFORM:
            self.config.platform = known.platforms[0]
        else:
            self.config.backend = known.backend

    def _fill_max_batch_size(self) -> None:
        if not self._is_free("max_batch_size"):
            return
        asked = self._order.max_batch_size
        if asked is not None:
            self.config.max_batch_size = asked
            if asked == 0:
                self._spell_out_tensors()
        elif self._graph is not None and self._graph.can_batch and not self.config.input:
            self.config.max_batch_size = DEFAULT_MAX_BATCH_SIZE

    def _spell_out_tensors(self) -> None:
        """A zero says "find out" to Triton's ONNX backend, unless the tensors are given in full."""
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
        asked = self._order.dynamic_batching
        present = self.config.WhichOneof("scheduling_choice")
        if present is not None:
            self._warn_of_unbounded_queue()
            return
        if self.config.max_batch_size < 1:
            if asked is not None:
                raise _config_invalid(
                    "spec.model.config.dynamicBatching is set, but the model does not batch: "
                    f"found maxBatchSize {self.config.max_batch_size}, expected 1 or more"
                )
            return
        batching = self.config.dynamic_batching
        size = asked.max_queue_size if asked else None
        batching.default_queue_policy.max_queue_size = size or DEFAULT_MAX_QUEUE_SIZE
        if asked is not None:
            batching.preferred_batch_size.extend(asked.preferred_batch_sizes or [])
            batching.max_queue_delay_microseconds = asked.max_queue_delay_microseconds or 0

    def _warn_of_unbounded_queue(self) -> None:
        batching = self.config.dynamic_batching
        if (
            self.config.HasField("dynamic_batching")
            and not batching.default_queue_policy.max_queue_size
        ):
            self.warnings.append(
                "config.pbtxt sets dynamic_batching without default_queue_policy.max_queue_size: "
                "under overload, requests wait without bound"
            )

    def _fill_instances(self) -> None:
        order = self._order
        wanted = order.instance_count is not None or order.instance_kind is not None
        if wanted and self._is_free("instance_group"):
            kind = INSTANCE_KINDS[order.instance_kind or "Auto"]
            self.config.instance_group.add(count=order.instance_count or 1, kind=kind)

    def _fill_revision_tag(self) -> None:
        if self._order.revision_tag is not None and self._is_free("metric_tags"):
            self.config.metric_tags[REVISION_TAG] = self._order.revision_tag

    def _merge_raw(self) -> None:
        """Messages are merged, maps by key, lists and numbers replaced."""
        if not self._order.raw:
            return
        raw = parse_config(self._order.raw, "spec.model.config.raw")
        overridden = sorted(raw.fields & {item.name for item, _ in self.config.ListFields()})
        if overridden:
            self.warnings.append(f"spec.model.config.raw overrides {', '.join(overridden)}")
        for name in raw.fields:
            descriptor = ModelConfig.DESCRIPTOR.fields_by_name[name]
            is_message = descriptor.type == descriptor.TYPE_MESSAGE
            is_map = is_message and descriptor.message_type.GetOptions().map_entry
            if not is_message or (descriptor.is_repeated and not is_map):
                self.config.ClearField(name)
        self.config.MergeFrom(raw.message)

    def _require_batchable(self) -> None:
        graph, size = self._graph, self.config.max_batch_size
        if graph is None or size == 0 or self.config.input or graph.can_batch:
            return
        fixed = next(
            item for item in (*graph.inputs, *graph.outputs) if not item.dims or item.dims[0] > 0
        )
        raise _config_invalid(
            f"max_batch_size is {size}, but the graph does not batch: tensor {fixed.name!r} has "
            f"the dimensions {fixed.dims}, expected a first one that may vary (export the model "
            "with a dynamic batch, or set maxBatchSize 0)"
        )

    def _fill_warmup(self) -> None:
        requests = self._order.warmup_requests
        if not requests or self.config.model_warmup:
            return
        signature = declared_signature(self.config, self._graph)
        if signature is None or not signature.inputs:
            raise JobFailure(
                Reason.WARMUP_IMPOSSIBLE,
                "spec.model.warmup is set, but neither config.pbtxt nor an ONNX graph says what "
                "the inputs are; give `input` in config.pbtxt or spec.model.config.raw",
            )
        warmup = self.config.model_warmup.add(name=WARMUP_NAME, batch_size=1, count=requests)
        for tensor in signature.inputs:
            if not tensor.optional:
                entry = warmup.inputs[tensor.name]
                entry.data_type = triton_type(tensor.datatype)
                entry.dims.extend(size if size > 0 else 1 for size in tensor.dims)
                entry.zero_data = True


def _config_invalid(problem: str) -> JobFailure:
    return JobFailure(Reason.CONFIG_INVALID, problem)
