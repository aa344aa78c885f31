"""The same is the same: however an input is spelled it is one input, and no identity changed."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slipway.api.base import Manifest
from slipway.api.canonical_json import canonical_json, sha256_of
from slipway.api.modeldeployment import ModelDeployment
from slipway.api.request import ModelFormat
from slipway.api.result import PackageResult
from slipway.errors import JobFailure
from slipway.jobs.package.config_pbtxt import ModelFile, fill_config, parse_config
from slipway.policy.canonical_input import (
    canonical_input,
    canonical_quantity,
    spelled_input,
    without_signature,
)
from slipway.policy.identity import golden_hashes, input_hash, input_hashes
from slipway.reconcile import render_inputs
from slipway.settings import Settings

from tests.builders import a_model_deployment, facts_about

DIGEST = f"sha256:{0:064}"
SETTINGS = Settings(operator_image="slipway:1", server_image="triton:1")
URI = "https://models.example/1.onnx?versionId=3"

# ── What exists keeps its identity ──

PINNED: list[tuple[dict[str, Any], str]] = [
    ({}, "602e2dc9984acb94697c9011b71bb85330392202bf263ce6d6e7ef04debe9e86"),
    (
        {"model": {"name": "other", "format": "ONNX"}},
        "0ec5c844fb3d08ff30ea749219fa890b35e2b15e7ebbc52efe7270db1e3565d2",
    ),
    (
        {"model": {"source": {"uri": URI, "digest": DIGEST}}},
        "ed10e2c25d7d1abdbc8e028a5ac8bf658507dc597b400e6efd4bf84d670e7315",
    ),
    (
        {
            "model": {
                "config": {
                    "maxBatchSize": 8,
                    "instanceGroup": {"count": 2},
                    "dynamicBatching": {
                        "preferredBatchSizes": [8, 4],
                        "maxQueueDelayMicroseconds": 100,
                    },
                    "raw": "max_batch_size: 4",
                },
                "warmup": {"requests": 3},
            }
        },
        "b6edde12443f3291c0fa0ea5b958e4c0a6860710af674fda6b14ee8e7c5dc6bb",
    ),
    (
        {"model": {"config": {"dynamicBatching": {}}}},
        "0227fa541a4d5af82e90bab535b179585a123e9ea76ea2212a8676b3933d8de4",
    ),
    (
        {"packaging": {"mode": "Image", "repository": "registry.example/models"}},
        "7e04fc5abc22b1bf1e1f25d4d5f3690a541d3748200d8c5ccdacc59981d5fa70",
    ),
    (
        {"server": {"protocols": ["GRPC"]}},
        "2e21ec7bb4cf71b821eeb397b33e8e7f8530e3ef74fbc06fa295af9afb3973f0",
    ),
    (
        {"server": {"startSeconds": 900, "drainSeconds": 5, "image": "triton:2"}},
        "0ab21bf77c126ea976fc7793027c99e3a62d4ae0d433a08bd6affdf36dc149fb",
    ),
    (
        {
            "server": {
                "resources": {
                    "requests": {"cpu": "1500m", "memory": "4Gi"},
                    "limits": {"cpu": "2", "memory": "8Gi", "nvidia.com/gpu": "1"},
                }
            }
        },
        "c1c8acfa248981673e63334f0fbf88e667ecfc2e7ee61a5e80a318b624abeda7",
    ),
    (
        {"server": {"resources": {}}},
        "bfc206ba45217a6e6c0786e1daea7b11f2613fcc9aac6246e3e8e787b91f4e26",
    ),
    (
        {"server": {"resources": {"limits": {"nvidia.com/gpu": "1"}}}},
        "f7339e58389eaa8aa0a9bce99696715d31173e46e5521e9bc80719d16d3c4146",
    ),
    (
        {
            "server": {
                "pod": {
                    "nodeSelector": {"disk": "ssd"},
                    "priorityClassName": "high",
                    "env": [{"name": "A", "value": "b"}, {"name": "B", "value": "$(A)"}],
                    "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
                }
            }
        },
        "bb76d5c35607db441753031ca52a96ffa992a057431180eedb13c589a90f5e03",
    ),
]
"""Canonical spellings with the identities that releases before this function gave them."""

OTHER_SPELLINGS: list[tuple[dict[str, Any], str]] = [
    (
        {"server": {"resources": {"requests": {"cpu": 1}}}},
        "ef6d76c1794042cc916c0948c907bddcfd8291d50db6fa7a4282cb04793ff538",
    ),
    (
        {"server": {"protocols": ["HTTP", "GRPC"], "startSeconds": 600}},
        "a2ae536f39e872e78c3ac5facd855750f558e438312abc5781069d822cc7fed8",
    ),
]


@pytest.mark.parametrize(("spec", "identity"), PINNED, ids=lambda value: str(value)[:40])
def test_a_canonical_spelling_keeps_the_identity_that_it_always_had(
    spec: dict[str, Any], identity: str
) -> None:
    md = a_model_deployment(**spec)

    assert input_hash(md.spec, md.metadata.name) == identity
    assert input_hashes(md, SETTINGS)[0] == identity


@pytest.mark.parametrize(("spec", "identity"), OTHER_SPELLINGS, ids=lambda value: str(value)[:40])
def test_another_spelling_is_still_known_by_the_identity_that_it_had(
    spec: dict[str, Any], identity: str
) -> None:
    assert identity in input_hashes(a_model_deployment(**spec), SETTINGS)


# ── Quantities ──


@pytest.mark.parametrize(
    ("spellings", "canonical"),
    [
        (["1", 1, "1000m", "1.0", "1e0", "1000000u", "0.001k"], "1"),
        (["0.5", "500m", "5e-1"], "500m"),
        (["1.5", "1500m"], "1500m"),
        (["4Gi", "4096Mi", 4294967296, "4194304Ki"], "4Gi"),
        (["1.5Gi", "1536Mi"], "1536Mi"),
        (["1G", "1000M", "1e9", 1_000_000_000], "1G"),
        (["1024", "1Ki", "1.024k"], "1Ki"),
        (["0", 0, "0m", "0Gi"], "0"),
        (["0.1n", "1n", "1e-10"], "1n"),
        (["1E", "1000P", "1e18"], "976562500000000Ki"),
    ],
)
def test_a_quantity_has_one_spelling(spellings: list[int | str], canonical: str) -> None:
    assert {canonical_quantity(spelling) for spelling in spellings} == {canonical}
    assert canonical_quantity(canonical) == canonical


def test_what_is_no_quantity_is_left_alone() -> None:
    assert canonical_quantity("lots") == "lots"


# ── Signed addresses ──


@pytest.mark.parametrize(
    ("uri", "plain"),
    [
        (
            "https://b.s3.amazonaws.com/m.onnx?versionId=7&X-Amz-Date=1&X-Amz-Signature=ab",
            "https://b.s3.amazonaws.com/m.onnx?versionId=7",
        ),
        ("https://b/m.onnx?AWSAccessKeyId=a&Signature=b&Expires=1", "https://b/m.onnx"),
        ("https://b/m.onnx?X-Goog-Date=1&X-Goog-Signature=ab", "https://b/m.onnx"),
        ("https://a.blob/m.onnx?sv=1&se=2&sr=b&sp=r&sig=xyz%3D", "https://a.blob/m.onnx"),
        ("https://b/m.onnx?Expires=1&file=m.onnx", "https://b/m.onnx?Expires=1&file=m.onnx"),
        ("https://b/m.onnx?sp=3", "https://b/m.onnx?sp=3"),
        ("pvc://claim/m.onnx", "pvc://claim/m.onnx"),
    ],
)
def test_of_a_signed_address_only_the_signature_is_left_out(uri: str, plain: str) -> None:
    assert without_signature(uri) == plain


def test_a_fresh_signature_is_the_same_input_where_pods_do_not_use_the_address() -> None:
    def inputs(signature: str, mode: str, digest: str | None = DIGEST) -> str:
        source = {"uri": f"https://b/m.onnx?X-Amz-Signature={signature}", "digest": digest}
        packaging = {"mode": mode, "repository": "registry.example/models"}
        md = a_model_deployment(model={"source": source}, packaging=packaging)
        return input_hashes(md, SETTINGS)[0]

    assert inputs("a", "Image") == inputs("b", "Image")
    assert inputs("a", "Image", None) != inputs("b", "Image", None)  # other bytes, for all we know
    assert inputs("a", "Fetch") != inputs("b", "Fetch")  # pods that start need the fresh one


# ── Golden sets ──


def test_a_golden_set_is_known_by_what_it_says_and_by_how_an_earlier_release_read_it() -> None:
    def hashes(**fields: Any) -> tuple[str, ...]:
        wanted = {"uri": "https://b/g.tar?X-Amz-Signature=a", "digest": DIGEST, **fields}
        return golden_hashes(a_model_deployment(model={"goldenSet": wanted}).spec.model.golden_set)

    plain = hashes(uri="https://b/g.tar")
    assert plain == ("f536dcf48cc68fb0",)
    assert hashes(regression="Fail", timeoutSeconds=300)[0] == hashes()[0] == plain[0]
    assert hashes()[1] != plain[0]
    assert hashes(minAgreement=0.5)[0] != plain[0]
    assert hashes(showCases=False) == hashes(showCases=True) == hashes()
    assert golden_hashes(None) == ("",)


# ── Generated spellings ──

FORMATS = (ModelFormat.ONNX, ModelFormat.PYTHON)

MEBI = 1024**2
AMOUNTS = st.one_of(
    st.integers(0, 64_000),
    st.integers(1, 64).map(lambda count: count * 1000),
    st.integers(1, 4096).map(lambda count: count * MEBI * 1000),
)
"""In thousandths."""
NAMES = st.sampled_from(["cpu", "memory", "nvidia.com/gpu"])
RESOURCES = st.none() | st.fixed_dictionaries(
    {
        "requests": st.dictionaries(NAMES, AMOUNTS, max_size=3),
        "limits": st.dictionaries(NAMES, AMOUNTS, max_size=3),
    }
)
TOLERATIONS = st.lists(
    st.fixed_dictionaries(
        {
            "key": st.sampled_from(["gpu", "spot"]),
            "operator": st.sampled_from(["Equal", "Exists"]),
            "value": st.sampled_from(["", "a"]),
        }
    ),
    max_size=3,
    unique_by=canonical_json,
)
ENV = st.dictionaries(st.sampled_from("ABCD"), st.sampled_from(["", "1", "$(A)"]), max_size=3)
MEANINGS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["digits", "other"]),
        "protocols": st.sampled_from([["HTTP", "GRPC"], ["HTTP"], ["GRPC"]]),
        "start": st.sampled_from([600, 60]),
        "drain": st.sampled_from([30, 5]),
        "resources": RESOURCES,
        "selector": st.dictionaries(st.sampled_from("ab"), st.just("x"), max_size=2),
        "tolerations": TOLERATIONS,
        "env": ENV,
        "mode": st.sampled_from(["Auto", "Fetch", "Image"]),
        "batching": st.none()
        | st.fixed_dictionaries(
            {
                "preferredBatchSizes": st.lists(st.integers(1, 8), max_size=2),
                "maxQueueDelayMicroseconds": st.sampled_from([0, 100]),
                "maxQueueSize": st.sampled_from([256, 7]),
            }
        ),
        "group": st.none()
        | st.fixed_dictionaries(
            {"count": st.integers(1, 2), "kind": st.sampled_from(["Auto", "CPU"])}
        ),
        "batch": st.sampled_from([None, 4]),
        "warmup": st.sampled_from([None, 3]),
    }
)


class Speller:
    """Writes a meaning down, in one of its many spellings."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self._draw = draw

    def spell(self, meaning: Manifest) -> Manifest:
        name, mode = meaning["name"], meaning["mode"]
        model: Manifest = {"version": "1", "source": {"uri": URI, "digest": DIGEST}}
        self._maybe(model, "name", name, default="digits")
        config = self._config(meaning)
        if config or self._coin():
            model["config"] = config

        if meaning["warmup"]:
            model["warmup"] = {"requests": meaning["warmup"]}
            self._maybe(model["warmup"], "shapes", {}, default={})

        packaging = {"repository": "registry.example/models"} if mode == "Image" else {}
        self._maybe(packaging, "mode", mode, default="Auto")
        server = self._server(meaning)
        spec: Manifest = {"model": model}
        for part, content in (("packaging", packaging), ("server", server)):
            if content or self._coin():
                spec[part] = content
        return spec

    def _config(self, meaning: Manifest) -> Manifest:
        config: Manifest = {}
        self._maybe(config, "maxBatchSize", meaning["batch"], default=None)
        if meaning["batching"] is not None:
            defaults = {
                "preferredBatchSizes": [],
                "maxQueueDelayMicroseconds": 0,
                "maxQueueSize": 256,
            }
            config["dynamicBatching"] = self._with_defaults(meaning["batching"], defaults)
        group = meaning["group"]
        if group is not None:
            spelled = self._with_defaults(group, {"count": 1, "kind": "Auto"})
            config["instanceGroup"] = spelled or {"count": 1}  # an empty one asks for nothing
        elif self._coin():
            config["instanceGroup"] = {}
        if self._coin():
            config["raw"] = ""
        return config

    def _server(self, meaning: Manifest) -> Manifest:
        server: Manifest = {}
        protocols = self._draw(st.permutations(meaning["protocols"]))
        if len(protocols) < 2 or self._coin():
            server["protocols"] = protocols
        self._maybe(server, "startSeconds", meaning["start"], default=600)
        self._maybe(server, "drainSeconds", meaning["drain"], default=30)
        resources = self._resources(meaning["resources"])
        if resources is not None:
            server["resources"] = resources

        pod: Manifest = {}
        self._maybe(pod, "nodeSelector", meaning["selector"], default={})
        tolerations = [
            self._with_defaults(item, {"operator": "Equal", "value": ""})
            for item in self._draw(st.permutations(meaning["tolerations"]))
        ]
        self._maybe(pod, "tolerations", tolerations, default=[])
        env = list(meaning["env"].items())
        if not any("$(" in value for _, value in env):
            env = self._draw(st.permutations(env))
        variables = [{"name": key, "value": value} for key, value in env]
        self._maybe(pod, "env", variables, default=[])
        self._maybe(pod, "affinity", {}, default={})
        if pod or self._coin():
            server["pod"] = pod
        return server

    def _resources(self, meaning: Manifest | None) -> Manifest | None:
        if meaning is None:
            if self._coin():
                return None
            meaning = {"requests": {"cpu": 100, "memory": 512 * MEBI * 1000}, "limits": {}}
        resources: Manifest = {}
        for part, amounts in meaning.items():
            spelled = {name: self._quantity(amount) for name, amount in amounts.items()}
            self._maybe(resources, part, spelled, default={})
        return resources

    def _quantity(self, thousandths: int) -> int | str:
        value = Decimal(thousandths) / 1000
        spellings: list[int | str] = [f"{thousandths}m", f"{thousandths * 1000}u", f"{value:f}"]
        if thousandths % 1000 == 0:
            whole = thousandths // 1000
            spellings += [whole, str(whole), f"{whole}.0", f"{whole}e0"]
            spellings += [f"{whole // MEBI}Mi", f"{whole // 1024}Ki"] if whole % MEBI == 0 else []
        spelling: int | str = self._draw(st.sampled_from(spellings))
        return spelling

    def _with_defaults(self, fields: Manifest, defaults: Manifest) -> Manifest:
        spelled: Manifest = {}
        for name, value in fields.items():
            if name in defaults:
                self._maybe(spelled, name, value, default=defaults[name])
            else:
                spelled[name] = value
        return spelled

    def _maybe(self, target: Manifest, name: str, value: Any, *, default: Any) -> None:
        """Leave a default out, or write it out."""
        if value is not None and (value != default or self._coin()):
            target[name] = value

    def _coin(self) -> bool:
        return bool(self._draw(st.booleans()))


@st.composite
def two_spellings(draw: st.DrawFn) -> tuple[Manifest, Manifest]:
    meaning, speller = draw(MEANINGS), Speller(draw)
    return speller.spell(meaning), speller.spell(meaning)


@settings(max_examples=50)
@given(two_spellings())
def test_two_spellings_of_the_same_are_one_input(spellings: tuple[Manifest, Manifest]) -> None:
    one, other = (a_model_deployment(**spelling) for spelling in spellings)

    assert input_hashes(one, SETTINGS)[0] == input_hashes(other, SETTINGS)[0]
    assert pods(one) == pods(other)


@settings(max_examples=50)
@given(two_spellings())
def test_the_canonical_spelling_is_its_own_and_makes_the_same_pods(
    spellings: tuple[Manifest, Manifest],
) -> None:
    md = a_model_deployment(**spellings[0])
    canonical = canonical_input(md.spec.wire(), "digits", is_packaged_once=True)
    same = a_model_deployment(**canonical)

    assert canonical_input(same.spec.wire(), "digits", is_packaged_once=True) == canonical
    assert pods(same) == pods(md)
    # Where a spelling was canonical before, it has the identity that it had.
    assert sha256_of(spelled_input(same.spec.wire())) == input_hash(md.spec, "digits")


@settings(max_examples=50)
@given(MEANINGS, MEANINGS, st.data())
def test_two_inputs_of_one_identity_make_the_same_pods(
    one: Manifest, other: Manifest, data: st.DataObject
) -> None:
    changed = data.draw(st.sampled_from(sorted(one)))
    other = {**one, changed: other[changed]}
    speller = Speller(data.draw)
    first, second = (a_model_deployment(**speller.spell(meaning)) for meaning in (one, other))

    if input_hashes(first, SETTINGS)[0] == input_hashes(second, SETTINGS)[0]:
        assert pods(first) == pods(second)


def pods(md: ModelDeployment) -> Manifest:
    """Return the pod template as Kubernetes and Triton understand it."""
    result = PackageResult(model_digest=DIGEST, image=f"registry.example/models@{DIGEST}")
    facts = facts_about(md, input="0" * 64)
    snapshot = render_inputs.build_snapshot(facts, result, SETTINGS)
    spec = snapshot.deployment["spec"]["template"]["spec"]

    [server] = spec["containers"]
    for part, amounts in server["resources"].items():
        server["resources"][part] = {
            name: canonical_quantity(amount) for name, amount in amounts.items()
        }
    if not any("$(" in variable.get("value", "") for variable in server["env"]):
        server["env"].sort(key=lambda variable: variable["name"])
    defaults = {"operator": "Equal", "value": ""}
    spec["tolerations"] = sorted(
        canonical_json(defaults | toleration) for toleration in spec.get("tolerations", [])
    )
    fetches = spec.pop("initContainers", [])
    return {"pod": spec, "fetches": bool(fetches), "config": [config(md, it) for it in FORMATS]}


def config(md: ModelDeployment, model_format: ModelFormat) -> str:
    """Return the config.pbtxt that Triton gets, or why there is none."""
    request = render_inputs.build_package_request(md, SETTINGS).config
    try:
        return fill_config(
            parse_config("", "config.pbtxt"), request, model_format, ModelFile()
        ).text
    except JobFailure as failure:
        return str(failure)


def test_a_conversion_is_part_of_the_input_where_it_is_asked_for() -> None:
    plain = a_model_deployment()
    wire = plain.spec.wire()
    golden = {"uri": "https://models.example/golden.tar.gz"}
    model = {**wire["model"], "goldenSet": golden}
    hashes = {
        input_hash(plain.spec.model_validate({**wire, "model": {**model, **more}}))
        for more in (
            {},
            {"optimize": {"precision": "FP16"}},
            {"optimize": {"precision": "INT8Dynamic"}},
        )
    }

    assert input_hash(plain.spec) in hashes
    assert len(hashes) == 3
