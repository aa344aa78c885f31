"""Every error that Slipway raises on purpose.

SlipwayError
├── SpecError            a field is wrong or impossible; the user must act
├── SettingsError        a setting of the operator is wrong; the administrator must act
├── ConflictError        an object of another owner already has our name
├── PortsExhausted       a namespace has a ModelRoute on every port; the user must act
├── FencedError          this process no longer holds the Lease and must not write
├── JobFailure           a Job or init container cannot do its work: reason, and if it is transient
├── RegistryRefused      the container registry refused, and would refuse again
└── DependencyError      something outside did not answer; the caller retries later
    ├── ClusterUnavailable   the API server
    │   ├── Forbidden            the API server says that we lack the permission
    │   ├── KindNotServed        the cluster does not know the kind: its CRD is not installed
    │   └── WebhookUnavailable   an admission webhook does not answer the API server
    ├── ChangedUnderneath    the object was changed or replaced since it was read
    ├── AdmissionDenied      quota, Pod Security, a webhook or a policy denied the object
    └── RegistryUnavailable  the container registry

Anything else is a bug: it is logged with its traceback, costs one object a back-off, and
never stops the others.
"""


class SlipwayError(Exception):
    """Base of all errors of this project."""


class SpecError(SlipwayError):
    """A field of the user's object is wrong; only the user can fix it."""

    def __init__(self, path: str, problem: str) -> None:
        """Name the field, as in ``spec.model.source.uri``, and the problem: found and expected."""
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class SettingsError(SlipwayError):
    """A setting of the operator is wrong; the message names the variable."""


class ConflictError(SlipwayError):
    """An object of another owner already has our name; it is left alone and reported."""


class PortsExhausted(SlipwayError):
    """Every listener port of a namespace's router has a ModelRoute already."""


class FencedError(SlipwayError):
    """This process must not write: its Lease was not renewed recently enough."""


class JobFailure(SlipwayError):
    """A Job or init container cannot do its work; becomes the `JobError` of its result."""

    def __init__(self, reason: str, message: str, *, transient: bool = False) -> None:
        """Give the stable CamelCase reason and one sentence for people.

        `transient` is True when the same Job may succeed later.
        """
        super().__init__(message)
        self.reason = reason
        self.transient = transient


class RegistryRefused(SlipwayError):
    """The container registry refused for good: credentials, rights, or a name that is unknown."""


class DependencyError(SlipwayError):
    """Something outside did not answer or refused; a later retry may help."""


class ClusterUnavailable(DependencyError):
    """The API server did not answer, or refused for a transient reason."""


class Forbidden(ClusterUnavailable):
    """The API server says that the operator lacks the permission; also said while it starts up."""


class KindNotServed(ClusterUnavailable):
    """The API server does not serve the kind: its CRD is not installed, or not yet."""


class WebhookUnavailable(ClusterUnavailable):
    """An admission webhook that must agree to the write does not answer the API server."""


class ChangedUnderneath(DependencyError):
    """The object changed, vanished or was re-created since it was read in this pass."""


class AdmissionDenied(DependencyError):
    """Quota, Pod Security, a webhook or a policy denied the object.

    The message is the API server's, fit for a condition; a retry may succeed once someone acts.
    """


class RegistryUnavailable(DependencyError):
    """The container registry did not answer, or refused for a transient reason."""
