"""Why something is as it is: every reason that Slipway gives, one documented line each.

What belongs here: the CamelCase words in conditions, verdicts, results of Jobs, events and answers
to actions, what each means, and what follows from it. Messages carry the numbers. The tables in
docs/operations.md and docs/analysis.md are tested against this page. Imports nothing heavy, so that
the command line starts fast.
"""

from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from typing import Self

MESSAGE_LENGTH = 1024
"""Characters of a message that a status or a condition keeps."""
CUT = "…"


class Group(Enum):
    """Where a reason is given."""

    ROLLOUT = "where a rollout stands"
    OUTCOME = "how a candidate ended"
    STALL = "why a rollout needs a person"
    TROUBLE = "why a write or a pass failed"
    PODS = "what pods and containers say"
    JOB = "why a package or check Job failed"
    CHECK = "how the golden set and the signature came out"
    ANALYSIS = "what a metric says"
    PROVIDER = "why a metric or a load could not be read"
    SCALING = "whether replicas follow the load"
    CONDITION = "what the other conditions say"
    EVENT = "what happened"
    ACTION = "why an action was refused"


class Course(Enum):
    """What becomes of it if no person acts."""

    GOES_ON = "the rollout, or the next pass, goes on by itself"
    COLLECTS = "evidence is being collected"
    PASSES = "ends with its cause in the cluster, whatever the object says; never a stall"
    HEALS = "stalls the object, and the operator tries again by itself"
    NEEDS_PERSON = "stays until a person or a new commit acts"


class Reason(StrEnum):
    """Why, in one CamelCase word; values are wire names and never change."""

    group: Group
    meaning: str
    """One line for people: what it means."""
    course: Course
    remedy: str
    """What a person can do about it; empty where nothing has to be done."""

    def __new__(
        cls,
        value: str,
        group: Group,
        meaning: str,
        course: Course = Course.GOES_ON,
        remedy: str = "",
    ) -> Self:
        """Make a member whose value is the wire name."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.group = group
        member.meaning = meaning
        member.course = course
        member.remedy = remedy
        return member

    # Where a rollout stands: Ready and Reconciling.
    RECONCILING = "Reconciling", Group.ROLLOUT, "a pass is under way that has not decided yet"
    PACKAGING = "Packaging", Group.ROLLOUT, "the package Job is running, or about to"
    JOB_HAS_NO_POD = (
        "JobHasNoPod",
        Group.ROLLOUT,
        "a Job got no pod: a quota or an admission check refuses it; see the Job's events",
    )
    STARTING = "Starting", Group.ROLLOUT, "waiting for the candidate's replicas to be ready"
    WAKING = (
        "Waking",
        Group.ROLLOUT,
        "waiting for the first replica of a model that was asleep; requests are held",
    )
    CHECKING = "Checking", Group.ROLLOUT, "checking golden set and signature"
    CHECK_PASSED = "CheckPassed", Group.ROLLOUT, "golden set and signature passed"
    SHADOWING = (
        "Shadowing",
        Group.ROLLOUT,
        "the candidate answers copies of requests; users get stable's answers",
    )
    SHADOW_PASSED = (
        "ShadowPassed",
        Group.ROLLOUT,
        "the pairs of answers rule harm out; the message has the weight up to which they do",
    )
    SHADOW_ENDED = (
        "ShadowEnded",
        Group.ROLLOUT,
        "the pairs of answers were too few for a verdict; the steps begin as without them",
    )
    AWAITING_ACKNOWLEDGEMENT = (
        "AwaitingAcknowledgement",
        Group.ROLLOUT,
        "a weight is written; waiting for every proxy to run it",
    )
    AWAITING_CAPACITY = (
        "AwaitingCapacity",
        Group.ROLLOUT,
        "waiting for the replicas that the next weight needs",
    )
    AWAITING_HOOK = "AwaitingHook", Group.ROLLOUT, "waiting for a hook to approve"
    AWAITING_APPROVAL = "AwaitingApproval", Group.ROLLOUT, "waiting for a person to approve a step"
    MEASURING_TRAFFIC = (
        "MeasuringTraffic",
        Group.ROLLOUT,
        "counting requests, for minutes at most, to choose the steps or to judge a switch",
    )
    RECREATING = (
        "Recreating",
        Group.ROLLOUT,
        "one revision has stopped and the other is not ready yet: nobody is answered",
    )
    GAP_ENDED = (
        "GapEnded",
        Group.ROLLOUT,
        "requests are answered again after a gap; the message has its length",
    )
    HOLDING = "Holding", Group.ROLLOUT, "holding a weight for the step's holdSeconds"
    PROGRESSING = "Progressing", Group.ROLLOUT, "raising the candidate's weight"
    BAKING = "Baking", Group.ROLLOUT, "watching for late faults before the promotion"
    BAKE_ALARM = (
        "BakeAlarm",
        Group.ROLLOUT,
        "the candidate looks worse than before the bake; a share goes back to stable to compare",
    )
    PAUSED = "Paused", Group.ROLLOUT, "paused by spec.paused or by the action pause"
    AWAITING_TURN = (
        "AwaitingTurn",
        Group.ROLLOUT,
        "waiting for other rollouts to end; the setting rollouts limits how many run at once",
    )
    OUTSIDE_WINDOW = (
        "OutsideWindow",
        Group.ROLLOUT,
        "waiting for a window of rollout.windows; the message says when it opens",
    )
    PROMOTED = "Promoted", Group.ROLLOUT, "the version in the spec serves all of the traffic"
    ROLLING_BACK = "RollingBack", Group.ROLLOUT, "taking the candidate's traffic back to stable"
    # How a candidate ended: the names of `Outcome`.
    ROLLED_BACK = "RolledBack", Group.OUTCOME, "rolled back on evidence; rejected from then on"
    REJECTED_BY_GOLDEN_SET = (
        "RejectedByGoldenSet",
        Group.OUTCOME,
        "rejected on the golden set, before any user was answered",
    )
    REJECTED_BY_SIGNATURE = (
        "RejectedBySignature",
        Group.OUTCOME,
        "rejected because its inputs or outputs are not those of stable",
    )
    REJECTED_BY_SHADOW = (
        "RejectedByShadow",
        Group.OUTCOME,
        "rejected on its answers to copies of requests, before any user was answered",
    )
    SUPERSEDED = "Superseded", Group.OUTCOME, "withdrawn because the spec asks for another input"
    ABORTED = "Aborted", Group.OUTCOME, "withdrawn by a person, or without a verdict in time"
    FAILED_TO_START = (
        "FailedToStart",
        Group.OUTCOME,
        "did not become ready in time; it is started again after a back-off",
    )
    PACKAGING_FAILED = (
        "PackagingFailed",
        Group.OUTCOME,
        "no image or layout could be made of the version",
    )

    # Why a rollout needs a person: Stalled.
    REVISION_REJECTED = (
        "RevisionRejected",
        Group.STALL,
        "evidence against this version; the message has the numbers",
        Course.NEEDS_PERSON,
        "a new version, or `retry`",
    )
    HELD = (
        "Held",
        Group.STALL,
        "a person took the version out with `abort` or `rollback`",
        Course.NEEDS_PERSON,
        "a new version, or `retry`",
    )
    ANALYSIS_FAILED = (
        "AnalysisFailed",
        Group.STALL,
        "a Fail while `rollback.automatic` is `Disabled`",
        Course.NEEDS_PERSON,
        "`abort` or `promote`",
    )
    GAP_REFUSED = (
        "GapRefused",
        Group.STALL,
        "`rollout.capacity: Swap` with one replica, and `rollout.allowGap` is not `Accepted`",
        Course.NEEDS_PERSON,
        "`allowGap: Accepted`, or a second replica",
    )
    DEADLINE_EXCEEDED = (
        "DeadlineExceeded",
        Group.STALL,
        "no verdict, replicas or proxies came within `deadlineSeconds`; the message says which",
        Course.NEEDS_PERSON,
        "provide what is missing (the rollout then continues), or `promote`, or `abort`",
    )
    INVALID_SPEC = (
        "InvalidSpec",
        Group.STALL,
        "the API server or the operator refuses something in the spec",
        Course.NEEDS_PERSON,
        "correct what the message names",
    )
    CONFLICT = (
        "Conflict",
        Group.STALL,
        "an object of that name exists and is not Slipway's",
        Course.NEEDS_PERSON,
        "remove it, or rename the ModelDeployment",
    )

    # Why a write or a pass failed.
    REFUSED = (
        "Refused",
        Group.TROUBLE,
        "admission denied a write: quota, policy, webhook, Pod Security, a deleted namespace",
        Course.HEALS,
        "remove the cause; the operator retries within a minute",
    )
    NO_FREE_PORT = (
        "NoFreePort",
        Group.TROUBLE,
        "every port of the namespace's router already serves another model",
        Course.HEALS,
        "delete a ModelDeployment of the namespace, or create this one in another namespace",
    )
    INTERNAL_ERROR = (
        "InternalError",
        Group.TROUBLE,
        "a bug, or a write that would have broken an invariant; other objects are not affected",
        Course.HEALS,
        "report it with the operator's log",
    )
    FORBIDDEN = (
        "Forbidden",
        Group.TROUBLE,
        "the operator lost a right; the message says which",
        Course.PASSES,
        "grant it again",
    )
    WEBHOOK_UNAVAILABLE = (
        "WebhookUnavailable",
        Group.TROUBLE,
        "an admission webhook with `failurePolicy: Fail` does not answer",
        Course.PASSES,
        "repair or remove it if it does not come back",
    )
    CLUSTER_UNAVAILABLE = (
        "ClusterUnavailable",
        Group.TROUBLE,
        "the API server fails, perhaps for this object alone, for example because it is too large",
        Course.PASSES,
        "see the message",
    )

    # What pods and containers say.
    PODS_REFUSED = "PodsRefused", Group.PODS, "admission refuses the pods: a quota or a policy"
    UNSCHEDULABLE = "Unschedulable", Group.PODS, "no node takes a pod"
    IMAGE_PULL_FAILED = "ImagePullFailed", Group.PODS, "a node cannot pull the image"
    FETCH_FAILED = "FetchFailed", Group.PODS, "the init container could not fetch the model"
    LOAD_FAILED = "LoadFailed", Group.PODS, "Triton exited while it was loading the model"
    START_TOO_SLOW = (
        "StartTooSlow",
        Group.PODS,
        "killed before it was ready: loading takes longer than `spec.server.startSeconds`",
        Course.GOES_ON,
        "set `spec.server.startSeconds` higher",
    )
    CRASHING = "Crashing", Group.PODS, "containers of the candidate keep exiting"
    OUT_OF_MEMORY = "OutOfMemory", Group.PODS, "killed at its own memory limit under traffic"
    NOT_READY = "NotReady", Group.PODS, "no running replica answers its readiness probe"
    CRASH_LOOP_BACK_OFF = "CrashLoopBackOff", Group.PODS, "the kubelet delays the next start"
    CREATE_CONTAINER_CONFIG_ERROR = (
        "CreateContainerConfigError",
        Group.PODS,
        "a Secret or ConfigMap that the container needs is missing",
    )
    CREATE_CONTAINER_ERROR = (
        "CreateContainerError",
        Group.PODS,
        "the node cannot create a container",
    )
    RUN_CONTAINER_ERROR = "RunContainerError", Group.PODS, "the node cannot start a container"
    INVALID_IMAGE_NAME = "InvalidImageName", Group.PODS, "the image's name is not valid"
    ERR_IMAGE_NEVER_PULL = (
        "ErrImageNeverPull",
        Group.PODS,
        "the image is not on the node, and its pull policy is Never",
    )
    IMAGE_INSPECT_ERROR = "ImageInspectError", Group.PODS, "the node cannot read the image"
    IMAGE_VOLUMES_MISSING = (
        "ImageVolumesMissing",
        Group.PODS,
        "a node cannot mount an image as a volume, which `packaging.mode: Volume` needs",
        Course.GOES_ON,
        "set `packaging.mode` to Image or Fetch, or update the nodes as the message says",
    )
    POD_WAITING = (
        "PodWaiting",
        Group.PODS,
        "a container is waiting, or a volume or device of its pod; the message names it",
    )

    # Why a package or check Job failed. NEEDS_PERSON: the same spec and the same bytes fail again,
    # and so does every retry. HEALS: a person has to act, but perhaps elsewhere, so retries go on.
    INVALID_REQUEST = (
        "InvalidRequest",
        Group.JOB,
        "the Job does not understand its request: its image and the operator do not fit together",
        Course.HEALS,
        "run operator and Jobs from the same release",
    )
    SOURCE_NOT_FOUND = (
        "SourceNotFound",
        Group.JOB,
        "there is nothing at the source's address",
        Course.HEALS,
        "correct the uri, or upload what it names",
    )
    SOURCE_REFUSED = (
        "SourceRefused",
        Group.JOB,
        "the source refuses credentials or rights, has an untrusted certificate, or has no model",
        Course.HEALS,
        "correct the uri, or give the access that the message names",
    )
    SOURCE_UNAVAILABLE = "SourceUnavailable", Group.JOB, "the source does not answer"
    SOURCE_TOO_LARGE = (
        "SourceTooLarge",
        Group.JOB,
        "the source, or what its archive unpacks to, is larger than Slipway accepts",
        Course.NEEDS_PERSON,
        "a smaller source",
    )
    SOURCE_CHANGED = "SourceChanged", Group.JOB, "files changed while they were being packaged"
    UNSAFE_ARCHIVE = (
        "UnsafeArchive",
        Group.JOB,
        "an entry of the archive is not safe: a link, a device, encrypted, or a path out of it",
        Course.NEEDS_PERSON,
        "an archive of plain files and directories",
    )
    CORRUPT_ARCHIVE = (
        "CorruptArchive",
        Group.JOB,
        "the archive is damaged, or is not one of the kind that its name says",
        Course.NEEDS_PERSON,
        "upload the archive again, then `retry`",
    )
    CORRUPT_MODEL = (
        "CorruptModel",
        Group.JOB,
        "the model's file is damaged or cut off: it ends in the middle",
        Course.NEEDS_PERSON,
        "upload the whole file, then `retry`",
    )
    DIGEST_MISMATCH = (
        "DigestMismatch",
        Group.JOB,
        "the files do not have the pinned digest; the message has both digests",
        Course.NEEDS_PERSON,
        "pin the digest of the files, or restore the files",
    )
    SIGNATURE_INVALID = (
        "SignatureInvalid",
        Group.JOB,
        "the files are not those that the key's owner signed; the message names the first ones",
        Course.NEEDS_PERSON,
        "restore the files, or sign these with the key that `verify` names",
    )
    LAYOUT_UNKNOWN = (
        "LayoutUnknown",
        Group.JOB,
        "no model where one should be, or more than one",
        Course.NEEDS_PERSON,
        "arrange the source as the message says, or set `spec.model.format`",
    )
    FORMAT_MISMATCH = (
        "FormatMismatch",
        Group.JOB,
        "`spec.model.format`, config.pbtxt and the files contradict each other",
        Course.NEEDS_PERSON,
        "correct `spec.model.format`, or the source",
    )
    CONFIG_INVALID = (
        "ConfigInvalid",
        Group.JOB,
        "config.pbtxt, or a field of the spec that goes into it, cannot be used",
        Course.NEEDS_PERSON,
        "correct the field that the message names",
    )
    WARMUP_IMPOSSIBLE = (
        "WarmupImpossible",
        Group.JOB,
        "`spec.model.warmup` is set, but nothing says which inputs to send, and of which sizes",
        Course.NEEDS_PERSON,
        "set `spec.model.warmup.shapes`, or declare `input` in config.pbtxt",
    )
    PRECISION_IMPOSSIBLE = (
        "PrecisionImpossible",
        Group.JOB,
        "the model cannot be converted to the precision that `model.optimize` asks for",
        Course.NEEDS_PERSON,
        "leave out `spec.model.optimize`, or ask for another precision",
    )
    REGISTRY_REFUSED = (
        "RegistryRefused",
        Group.JOB,
        "the registry refuses: credentials, rights, a certificate, or an image that is not there",
        Course.HEALS,
        "correct the image's name, or give the access that the message names",
    )
    ARCHITECTURE_MISSING = (
        "ArchitectureMissing",
        Group.JOB,
        "`server.image` is not made for the architecture of any node that the pods may run on",
        Course.HEALS,
        "set `server.image` to one for that architecture, or `nodeSelector` to other nodes",
    )
    REGISTRY_UNAVAILABLE = "RegistryUnavailable", Group.JOB, "the registry does not answer"
    STORAGE_FULL = "StorageFull", Group.JOB, "no space left on the Job's scratch volume"
    GOLDEN_SET_INVALID = (
        "GoldenSetInvalid",
        Group.JOB,
        "a file of the golden set is missing or wrong, so nothing can be judged by it",
        Course.NEEDS_PERSON,
        "correct the file and field that the message names",
    )
    SERVER_UNREACHABLE = (
        "ServerUnreachable",
        Group.JOB,
        "the candidate did not answer the check in time",
    )
    CHECK_TIMED_OUT = (
        "CheckTimedOut",
        Group.JOB,
        "the candidate answers, but too slowly for all cases of the golden set",
        Course.NEEDS_PERSON,
        "raise `model.goldenSet.timeoutSeconds`, or have fewer cases",
    )
    GOLDEN_SET_NOT_ASKABLE = (
        "GoldenSetNotAskable",
        Group.JOB,
        "the model streams its answers, and the server has no gRPC to ask it by",
        Course.NEEDS_PERSON,
        "add GRPC to `server.protocols`, or leave out the golden set",
    )
    INTERRUPTED = "Interrupted", Group.JOB, "the Job's pod was stopped"
    JOB_CRASHED = "JobCrashed", Group.JOB, "the Job left no result"
    JOB_FAILED = "JobFailed", Group.JOB, "a reason of a newer release; see the message"

    # How the golden set and the signature came out.
    GOLDEN_SET_PASSED = "GoldenSetPassed", Group.CHECK, "the recorded answers agree"
    NO_GOLDEN_SET = "NoGoldenSet", Group.CHECK, "passed on the signature alone"
    GOLDEN_SET_FAILED = "GoldenSetFailed", Group.CHECK, "too few recorded answers agree"
    GOLDEN_SET_REGRESSED = (
        "GoldenSetRegressed",
        Group.CHECK,
        "enough cases agree, but fewer than on stable",
    )
    SIGNATURE_CHANGED = "SignatureChanged", Group.CHECK, "inputs or outputs are not those of stable"
    NOT_CHECKED = "NotChecked", Group.CHECK, "the check could not be made; see the error"

    # What a metric says.
    WITHIN_HARM = "WithinHarm", Group.ANALYSIS, "the harm at the next weight is ruled out"
    WITHIN_LIMIT = "WithinLimit", Group.ANALYSIS, "within the limit that the spec sets"
    NOTHING_AGAINST = "NothingAgainst", Group.ANALYSIS, "nothing against the candidate so far"
    ANSWERING = "Answering", Group.ANALYSIS, "requests come back as they do on stable"
    ERROR_RATIO = "ErrorRatio", Group.ANALYSIS, "a larger share of errors than on stable"
    CLIENT_ERROR_RATIO = (
        "ClientErrorRatio",
        Group.ANALYSIS,
        "a larger share of client errors (4xx) than on stable",
    )
    SLOW_RATIO = "SlowRatio", Group.ANALYSIS, "a larger share of slow answers than on stable"
    SLOW_MEAN = "SlowMean", Group.ANALYSIS, "a higher mean latency than on stable"
    LATENCY_GROWS = (
        "LatencyGrows",
        Group.ANALYSIS,
        "latency grows with time, compared with stable's",
    )
    UNRESPONSIVE = "Unresponsive", Group.ANALYSIS, "requests go in and do not come back"
    ERRORS_IN_SHADOW = (
        "ErrorsInShadow",
        Group.ANALYSIS,
        "the candidate fails on copies of requests that stable answers",
    )
    ANSWERS_DIFFER = (
        "AnswersDiffer",
        Group.ANALYSIS,
        "too many of the candidate's answers to copies of requests differ from stable's",
    )
    SLOWER_IN_SHADOW = (
        "SlowerInShadow",
        Group.ANALYSIS,
        "the candidate takes longer than stable to answer copies of requests",
    )
    TOO_MANY = "TooMany", Group.ANALYSIS, "a larger share of counted events than allowed"
    TOO_HIGH = "TooHigh", Group.ANALYSIS, "a higher mean than allowed"
    ABOVE_LIMIT = "AboveLimit", Group.ANALYSIS, "a value above its fixed limit"
    UNDECIDED = (
        "Undecided",
        Group.ANALYSIS,
        "not enough evidence yet; the message says how many more requests it takes",
        Course.COLLECTS,
    )
    UNDER_SUSPICION = (
        "UnderSuspicion",
        Group.ANALYSIS,
        "a tenth of the evidence that a Fail takes is there: the promotion is held",
        Course.COLLECTS,
    )
    UNPROVEN = (
        "Unproven",
        Group.ANALYSIS,
        "the bake has not ruled out yet what its requests can rule out",
        Course.COLLECTS,
    )
    ARM_NOISE = "ArmNoise", Group.ANALYSIS, "worse, but within pod-to-pod noise"
    POD_STANDS_OUT = (
        "PodStandsOut",
        Group.ANALYSIS,
        "one pod fails more than its siblings: held, and not blamed on the version",
    )
    MEMORY_GROWS = (
        "MemoryGrows",
        Group.ANALYSIS,
        "a pod is on its way to its memory limit: the bake is extended, and nobody is blamed",
    )
    SHARED_FAULT = "SharedFault", Group.ANALYSIS, "stable is equally bad: held, and not blamed"
    NOT_ROUTED = "NotRouted", Group.ANALYSIS, "the candidate gets far less than its weight"
    CHECK_FAILED = "CheckFailed", Group.ANALYSIS, "mode Threshold: the last check was bad"
    NO_TRAFFIC = "NoTraffic", Group.ANALYSIS, "no request yet"
    TOO_FEW_PAIRS = (
        "TooFewPairs",
        Group.ANALYSIS,
        "not enough pairs of answers yet; the message says what they bound so far",
        Course.COLLECTS,
    )
    NO_PAIRS = "NoPairs", Group.ANALYSIS, "no request was answered by both yet"
    NO_BASELINE = "NoBaseline", Group.ANALYSIS, "stable has no value to compare with"
    NO_DATA = "NoData", Group.ANALYSIS, "nothing was read yet"
    WARMING_UP = "WarmingUp", Group.ANALYSIS, "the candidate's first requests do not count"
    METRICS_UNAVAILABLE = (
        "MetricsUnavailable",
        Group.ANALYSIS,
        "the routers' or the provider's counters cannot be read",
    )
    TOO_FEW_REQUESTS = (
        "TooFewRequests",
        Group.ANALYSIS,
        "too few requests yet to judge this metric",
        Course.COLLECTS,
    )
    TOO_FEW_PREDICTIONS = (
        "TooFewPredictions",
        Group.ANALYSIS,
        "too few predictions for a comparison",
    )
    PREDICTIONS_DRIFT = (
        "PredictionsDrift",
        Group.ANALYSIS,
        "predictions are distributed differently from stable's",
    )
    NO_DRIFT = "NoDrift", Group.ANALYSIS, "predictions are distributed like stable's"
    NO_RESTARTS = "NoRestarts", Group.ANALYSIS, "no container of the candidate has ended"
    RESTARTED = "Restarted", Group.ANALYSIS, "containers ended; no evidence against it yet"
    NOT_JUDGED = "NotJudged", Group.ANALYSIS, "read, but not judged yet"

    # Why a metric or a load could not be read.
    INVALID_QUERY = "InvalidQuery", Group.PROVIDER, "a query has a placeholder that does not exist"
    QUERY_REFUSED = "QueryRefused", Group.PROVIDER, "the provider refuses the query"
    PROVIDER_ERROR = "ProviderError", Group.PROVIDER, "the provider answers with an error"
    PROVIDER_REDIRECTS = "ProviderRedirects", Group.PROVIDER, "the provider redirects elsewhere"
    PROVIDER_SLOW = "ProviderSlow", Group.PROVIDER, "the answer is not there yet"
    PROVIDER_TIMEOUT = "ProviderTimeout", Group.PROVIDER, "the provider did not answer in time"
    PROVIDER_UNKNOWN = "ProviderUnknown", Group.PROVIDER, "no provider of that name"
    PROVIDER_UNREACHABLE = "ProviderUnreachable", Group.PROVIDER, "the provider cannot be reached"
    ANSWER_MALFORMED = "AnswerMalformed", Group.PROVIDER, "the answer cannot be read"
    ANSWER_TOO_LARGE = "AnswerTooLarge", Group.PROVIDER, "the answer is larger than allowed"
    BAD_EXCEEDS_TOTAL = "BadExceedsTotal", Group.PROVIDER, "bad counts more than total does"
    LABEL_MISSING = "LabelMissing", Group.PROVIDER, "a series lacks the label that is asked for"
    NEGATIVE_COUNTER = "NegativeCounter", Group.PROVIDER, "a counter is below zero"
    NOT_A_NUMBER = "NotANumber", Group.PROVIDER, "the value is no number"
    SERIES_MISSING = "SeriesMissing", Group.PROVIDER, "the query finds no series, or not the same"
    TOO_MANY_SERIES = "TooManySeries", Group.PROVIDER, "the query finds more series than allowed"
    NO_SERVER = "NoServer", Group.PROVIDER, "no ready pod to ask"
    SERVER_ERROR = "ServerError", Group.PROVIDER, "a pod's metrics page answers with an error"
    SERVER_TIMEOUT = "ServerTimeout", Group.PROVIDER, "a pod's metrics page did not answer in time"

    # Whether replicas follow the load.
    MEASURED = "Measured", Group.SCALING, "replicas follow the load"
    SIGNALS_MISSING = (
        "SignalsMissing",
        Group.SCALING,
        "the load cannot be measured; replicas are kept, and only added",
    )
    NO_MAX_REPLICAS = (
        "NoMaxReplicas",
        Group.SCALING,
        "scaling is asked for without maxReplicas",
        Course.NEEDS_PERSON,
        "set spec.scaling.maxReplicas",
    )

    NOT_EVALUATED = (
        "NotEvaluated",
        Group.SCALING,
        "the HorizontalPodAutoscaler's controller, or KEDA, has not looked at it yet",
    )
    KEDA_NOT_INSTALLED = (
        "KedaNotInstalled",
        Group.SCALING,
        "engine KEDA is set, but KEDA is not installed in the cluster; Slipway keeps the replicas",
        Course.NEEDS_PERSON,
        "install KEDA, or set another engine",
    )
    KEDA_FORBIDDEN = (
        "KedaForbidden",
        Group.SCALING,
        "engine KEDA is set, and the operator may not use ScaledObjects; replicas are kept",
        Course.NEEDS_PERSON,
        "install the chart or the manifests of this version, which grant it",
    )
    KEDA_HOLDS = (
        "KedaHolds",
        Group.SCALING,
        "another engine is set, and KEDA has not let go of the replicas; they are kept until then",
    )

    # What the other conditions say.
    ASLEEP = (
        "Asleep",
        Group.CONDITION,
        "nothing runs, because no request came for a while; the next one wakes the model",
    )
    SERVING = "Serving", Group.CONDITION, "a revision has ready replicas and traffic"
    NOTHING_SERVES = "NothingServes", Group.CONDITION, "no revision can answer"
    PACKAGED = "Packaged", Group.CONDITION, "the version has a digest and can be started"
    ACKNOWLEDGED = "Acknowledged", Group.CONDITION, "every proxy runs the newest weights"
    AWAITING_PROXIES = (
        "AwaitingProxies",
        Group.CONDITION,
        "waiting for proxies to run the newest weights",
    )
    REPLICAS_READY = "ReplicasReady", Group.CONDITION, "every live revision has its replicas"
    AWAITING_REPLICAS = "AwaitingReplicas", Group.CONDITION, "waiting for replicas to be ready"

    # What TLS and access need.
    CERTIFICATE_VALID = "CertificateValid", Group.CONDITION, "the certificate can serve clients"
    CERTIFICATE_EXPIRING = (
        "CertificateExpiring",
        Group.CONDITION,
        "the certificate expires within a week",
        Course.GOES_ON,
        "renew it: connections go on, and new ones get the new certificate at once",
    )
    CERTIFICATE_EXPIRED = (
        "CertificateExpired",
        Group.CONDITION,
        "the certificate has expired, so clients refuse it",
        Course.GOES_ON,
        "renew it",
    )
    CERTIFICATE_FOR_OTHERS = (
        "CertificateForOthers",
        Group.CONDITION,
        "the certificate does not name the Service; clients that use another name may accept it",
        Course.GOES_ON,
        "add the name that the message has, unless clients call another one",
    )
    CERTIFICATE_BROKEN = (
        "CertificateBroken",
        Group.CONDITION,
        "the Secret has no usable certificate; the one before it stays in use",
        Course.GOES_ON,
        "correct what the message names",
    )
    SECRET_NOT_FOUND = (
        "SecretNotFound",
        Group.CONDITION,
        "a Secret that TLS or access needs does not exist",
        Course.GOES_ON,
        "create it: routers see it within a second",
    )
    SECRET_UNREADABLE = (
        "SecretUnreadable",
        Group.CONDITION,
        "the routers cannot read a Secret that TLS or access needs",
        Course.GOES_ON,
        "let the ServiceAccount slipway-router list and watch it",
    )
    CONFIG_MAP_NOT_FOUND = (
        "ConfigMapNotFound",
        Group.CONDITION,
        "a ConfigMap that access needs does not exist; tokens that rely on it are refused",
        Course.GOES_ON,
        "create it: routers see it within a second",
    )
    CONFIG_MAP_UNREADABLE = (
        "ConfigMapUnreadable",
        Group.CONDITION,
        "the routers cannot read a ConfigMap that access needs",
        Course.GOES_ON,
        "let the ServiceAccount slipway-router list and watch it",
    )
    CALLERS_KNOWN = (
        "CallersKnown",
        Group.CONDITION,
        "the routers have all keys by which callers are told apart",
    )
    KEYS_BROKEN = (
        "KeysBroken",
        Group.CONDITION,
        "the Secret has no keys, or some of its entries are not keys; the others are used",
        Course.GOES_ON,
        "write each entry as {SHA} and the SHA-1 of the key in base64",
    )
    KEY_SET_UNREACHABLE = (
        "KeySetUnreachable",
        Group.CONDITION,
        "an issuer's keys cannot be read; those that were read before stay in use",
        Course.GOES_ON,
        "look at the address that the message names: routers try again by themselves",
    )
    KEY_SET_BROKEN = (
        "KeySetBroken",
        Group.CONDITION,
        "an issuer's keys are malformed; those that were read before stay in use",
        Course.GOES_ON,
        "correct what the message names",
    )
    AWAITING_NEWEST_ROUTERS = (
        "AwaitingNewestRouters",
        Group.CONDITION,
        "waiting for the namespace's routers to be replaced: older ones know no TLS and no access",
    )

    # What gateways need.
    GATEWAY_PROGRAMMED = (
        "GatewayProgrammed",
        Group.CONDITION,
        "every gateway has taken the newest routes",
    )
    AWAITING_GATEWAY = (
        "AwaitingGateway",
        Group.CONDITION,
        "waiting for a gateway's controller to look at the newest routes",
        Course.GOES_ON,
        "see whether that controller runs, and whether the GatewayClass is its own",
    )
    GATEWAY_NOT_FOUND = (
        "GatewayNotFound",
        Group.CONDITION,
        "a Gateway does not exist; requests inside the cluster are answered as before",
        Course.GOES_ON,
        "create it, or correct traffic.gateway.parentRefs",
    )
    GATEWAY_NOT_PROGRAMMED = (
        "GatewayNotProgrammed",
        Group.CONDITION,
        "a Gateway has no data plane that runs its newest listeners",
        Course.GOES_ON,
        "look at the conditions of that Gateway",
    )
    NOT_ALLOWED_BY_LISTENERS = (
        "NotAllowedByListeners",
        Group.CONDITION,
        "no listener of the Gateway takes routes of this namespace",
        Course.GOES_ON,
        "ask whoever owns the Gateway to extend allowedRoutes of a listener",
    )
    NO_MATCHING_PARENT = (
        "NoMatchingParent",
        Group.CONDITION,
        "the Gateway has no listener of that name",
        Course.GOES_ON,
        "correct sectionName",
    )
    NO_MATCHING_LISTENER_HOSTNAME = (
        "NoMatchingListenerHostname",
        Group.CONDITION,
        "no listener of the Gateway has a hostname that fits",
        Course.GOES_ON,
        "correct hostnames, or ask whoever owns the Gateway for a listener",
    )
    REFERENCE_NOT_PERMITTED = (
        "ReferenceNotPermitted",
        Group.CONDITION,
        "a rule of the route leads to another namespace, without a ReferenceGrant there",
        Course.GOES_ON,
        "create the ReferenceGrant, or remove that rule: none of Slipway's needs one",
    )
    BACKENDS_NOT_RESOLVED = (
        "BackendsNotResolved",
        Group.CONDITION,
        "a rule of the route leads to a Service that the gateway cannot use",
        Course.GOES_ON,
        "correct what the message names",
    )
    ROUTE_REFUSED = (
        "RouteRefused",
        Group.CONDITION,
        "the gateway, or the API server, does not take the route as it is",
        Course.GOES_ON,
        "correct what the message names",
    )
    HOSTNAME_TAKEN = (
        "HostnameTaken",
        Group.CONDITION,
        "another ModelDeployment had the hostname at this Gateway first, and keeps it",
        Course.GOES_ON,
        "choose another one, or take it out of the ModelDeployment that the message names",
    )
    GATEWAY_API_MISSING = (
        "GatewayAPIMissing",
        Group.CONDITION,
        "the cluster does not serve the kinds of Gateway API",
        Course.GOES_ON,
        "install the CRDs of Gateway API 1.4 or newer: the operator looks for them by itself",
    )
    GATEWAYS_FORBIDDEN = (
        "GatewaysForbidden",
        Group.CONDITION,
        "the operator may not write routes of Gateway API",
        Course.GOES_ON,
        "set the chart's value gateway.enabled",
    )

    # What happened: events, and causes that history keeps.
    ROLLOUT_STARTED = "RolloutStarted", Group.EVENT, "a candidate is being started"
    WEIGHT_ACKNOWLEDGED = "WeightAcknowledged", Group.EVENT, "every proxy runs a new weight"
    PACKAGED_WITH_WARNINGS = (
        "PackagedWithWarnings",
        Group.EVENT,
        "packaging left something out, or could not find it out; the message says what",
    )
    HOOK_PASSED = "HookPassed", Group.EVENT, "a hook approved"
    HOOK_REJECTED = "HookRejected", Group.EVENT, "a hook refused the revision"
    SCALED = "Scaled", Group.EVENT, "the load asks for another number of replicas"
    NEW_BYTES = (
        "NewBytes",
        Group.EVENT,
        "the bytes at the source's address have changed; the new ones are a revision of their own",
    )
    REFRESH_FAILED = (
        "RefreshFailed",
        Group.EVENT,
        "a scheduled look at the source failed; the next one follows by itself",
    )
    WORSE_AFTER_PROMOTION = (
        "WorseAfterPromotion",
        Group.EVENT,
        "a promoted revision became worse than it was in its rollout",
    )
    SWAPPING = (
        "Swapping",
        Group.EVENT,
        "the candidate's replicas take the places of stable's, one at a time",
    )
    STABLE_DOWN = "StableDown", Group.EVENT, "stable cannot serve; the candidate takes all traffic"
    ACTION = "Action", Group.EVENT, "a person's action was carried out or refused"

    # Why an action was refused: lastAction.reason, refusedAction.reason.
    NOT_UNDERSTOOD = "NotUnderstood", Group.ACTION, "the annotation does not have the form"
    UNKNOWN_ACTION = "UnknownAction", Group.ACTION, "there is no action of that name"
    MISDATED = (
        "Misdated",
        Group.ACTION,
        "its id is too old, older than the object, or far in the future",
    )
    STATUS_LOST = "StatusLost", Group.ACTION, "the status was lost, and with it what was done"
    MEANT_FOR_ANOTHER_POSITION = (
        "MeantForAnotherPosition",
        Group.ACTION,
        "the rollout has moved on from the revision and step that the action names",
    )
    NO_ROLLOUT = "NoRollout", Group.ACTION, "no rollout is under way"
    ALREADY_DONE = "AlreadyDone", Group.ACTION, "what it asks for is already so"
    NOT_AWAITING_APPROVAL = "NotAwaitingApproval", Group.ACTION, "no step is waiting for approval"
    NEEDS_APPROVAL = "NeedsApproval", Group.ACTION, "the step is waiting for approval: use approve"
    NO_STEP = "NoStep", Group.ACTION, "no step with traffic is in force"
    PAUSED_BY_SPEC = "PausedBySpec", Group.ACTION, "spec.paused holds the rollout: change the spec"
    ANALYSIS_SAYS_FAIL = "AnalysisSaysFail", Group.ACTION, "there is evidence against the candidate"
    NOTHING_TO_RETRY = "NothingToRetry", Group.ACTION, "nothing was rejected, held or failed"
    NO_WAY_BACK = "NoWayBack", Group.ACTION, "there is no way back to that revision"
    ROLLBACK_UNDER_WAY = "RollbackUnderWay", Group.ACTION, "the candidate is being rolled back"

    @property
    def needs_person(self) -> bool:
        """Whether it stays until a person or a new commit acts."""
        return self.course is Course.NEEDS_PERSON

    @property
    def heals_by_itself(self) -> bool:
        """Whether it is trouble after which the operator tries again by itself."""
        return self.course in {Course.HEALS, Course.PASSES}

    @property
    def is_passing(self) -> bool:
        """Whether it ends without a change of the object, so that no tool may give it up."""
        return self.course is Course.PASSES

    @property
    def is_collecting(self) -> bool:
        """Whether a metric is collecting evidence."""
        return self.course is Course.COLLECTS

    @classmethod
    def parse(cls, text: str, otherwise: "Reason") -> "Reason":
        """Return the reason of that wire name, or another one where it is not ours."""
        return cls._value2member_map_.get(text, otherwise)  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Why:
    """A reason for machines and one line for people; a message that is too long is cut here."""

    reason: Reason
    message: str

    def __post_init__(self) -> None:
        """Keep the message within what a status holds."""
        object.__setattr__(self, "message", shortened(self.message))

    def with_message(self, message: str) -> "Why":
        """Return the same reason with another message."""
        return replace(self, message=message)


def shortened(text: str, length: int = MESSAGE_LENGTH) -> str:
    """Return a text within `length` characters; what was cut ends in an ellipsis."""
    return text if len(text) <= length else text[: length - len(CUT)] + CUT
