"""Every error that Slipway raises on purpose.

SlipwayError
├── SpecError            the user must act: a field is wrong or impossible
├── SettingsError        the admin must act: a setting of the operator is wrong
├── ConflictError        a foreign object has a name that is ours
├── FencedError          this process may not write any more: it lost the Lease
├── JobFailure           a Job or init container cannot do its order: reason, and if it is passing
├── RegistryRefused      the container registry said no, and would say it again
└── DependencyError      something outside did not answer; the caller tries again later
    ├── ClusterUnavailable   the API server
    │   └── Forbidden        it says that we have no right
    ├── ChangedUnderneath    the object was changed or replaced since it was read
    ├── Refused              admission said no: quota, Pod Security, a webhook, a policy
    └── RegistryUnavailable  the container registry

Anything else is a bug: it is logged with its traceback, costs one object a back-off, and
never stops the others.
"""


class SlipwayError(Exception):
    """Base of all errors of this project."""


class SpecError(SlipwayError):
    """A field of the user's object is wrong; only the user can mend it."""

    def __init__(self, path: str, problem: str) -> None:
        """Name the field, as in ``spec.model.source.uri``, and the problem: found and expected."""
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class SettingsError(SlipwayError):
    """A setting of the operator is wrong; the message names the variable."""


class ConflictError(SlipwayError):
    """A foreign object has a name that is ours; it is left alone and reported."""


class FencedError(SlipwayError):
    """This process may not write: its Lease is not renewed recently enough."""


class JobFailure(SlipwayError):
    """A Job or init container cannot do its order; becomes the `JobError` of its result."""

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
    """Something outside did not answer or refused; trying again later may help."""


class ClusterUnavailable(DependencyError):
    """The API server did not answer, or refused for a passing reason."""


class Forbidden(ClusterUnavailable):
    """The API server says that the operator has no right; it says so too while it starts."""


class ChangedUnderneath(DependencyError):
    """The object changed, vanished or was re-created since it was read in this pass."""


class Refused(DependencyError):
    """Admission refused the object: quota, Pod Security, a webhook, a policy.

    The message is the API server's, fit for a condition; it may pass once someone acts.
    """


class RegistryUnavailable(DependencyError):
    """The container registry did not answer, or refused for a passing reason."""
