"""What went wrong at an object store, in words: the store's own code, and what to do about it.

The store's answer is never shown as it is: it repeats keys and signatures.
"""

import re
from dataclasses import dataclass

from slipway.api.reasons import Reason
from slipway.jobs.http import TRANSIENT_STATUS
from slipway.jobs.sources.access import SourceAccess
from slipway.jobs.sources.parts import Interrupted, Replaced

CODE = re.compile(r"<Code>\s*([A-Za-z]{1,64})\s*</Code>")
STATUS = re.compile(r"status code: (\d{3})|\bstatus: (\d{3})")
EXPECTED_REGION = re.compile(r"<Region>([a-z0-9-]{1,64})</Region>")
METADATA_SERVICE = re.compile(
    r"169\.254\.169\.254|169\.254\.170\.2|\[fd00:ec2::|/computeMetadata/v1/"
)
TOKEN_SERVICE = re.compile(r"Error performing \w+ REDACTED|WebIdentity|invalid_(grant|client)")
"""Requests for tokens: their addresses are secret, so the client does not show them."""

UNAUTHORIZED, FORBIDDEN, NOT_FOUND, PRECONDITION, SERVER_ERRORS = 401, 403, 404, 412, 500
NO_BUCKET = frozenset({"NoSuchBucket", "ContainerNotFound"})
SLOW_DOWN = frozenset({"SlowDown", "TooManyRequests", "ServerBusy", "RequestLimitExceeded"})
WRONG_REGION = frozenset(
    {"AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException"}
)
PROBLEMS = {
    "InvalidAccessKeyId": "the store does not know the access key of {who}",
    "SignatureDoesNotMatch": "the secret key of {who} does not fit its access key",
    "AuthenticationFailed": "the store does not accept the key or token of {who}: it is another "
    "one, or it has expired; write a new one, then `retry`",
    "InvalidAuthenticationInfo": "the store does not accept the key or token of {who}",
    "KeyBasedAuthenticationNotPermitted": "the account takes no keys, which {who} has; use a "
    "ServiceAccount with a workload identity",
    "AccountIsDisabled": "the storage account of {who} is disabled",
    "ExpiredToken": "the session token of {who} has expired; write a new one, then `retry`",
    "TokenRefreshRequired": "the session token of {who} has expired; write a new one, then `retry`",
    "InvalidToken": "the store does not accept the session token of {who}",
    "RequestTimeTooSkewed": "the clock of this node differs too much from the store's; synchronise "
    "it, then `retry`",
    "AccessDenied": "{who} may not read it, or it is not there and {who} may not list the bucket",
    "AllAccessDisabled": "the store has locked the bucket",
    "AuthorizationFailure": "{who} may not read it, its token has expired, or the account's "
    "firewall refuses this cluster",
    "AuthorizationPermissionMismatch": "{who} may not read it; give it the role Storage Blob Data "
    "Reader",
    "PublicAccessNotPermitted": "the store allows no access without credentials",
    "NoAuthenticationInformation": "the store asks for credentials",
    "InvalidObjectState": "it is archived, and must be restored first",
    "UserProjectMissing": "the bucket makes its readers pay, which is not supported",
}


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """What can be known of a failed request."""

    status: int | None
    code: str | None
    text: str

    @classmethod
    def parse(cls, error: BaseException) -> "StoreAnswer":
        """Read the text of an error."""
        text = str(error)
        status, code = STATUS.search(text), CODE.search(text)
        found = next((group for group in status.groups() if group), None) if status else None
        return cls(int(found) if found else None, code[1] if code else None, text)

    @property
    def is_missing(self) -> bool:
        """Whether the object is not there, while its bucket is."""
        return self.status == NOT_FOUND and self.code not in NO_BUCKET

    @property
    def is_unexplained(self) -> bool:
        """Whether access is refused without a code, as in the answer to a HEAD."""
        return self.code is None and self.status is not None and 400 <= self.status < SERVER_ERRORS  # noqa: PLR2004


def explain_error(access: SourceAccess, bucket: str, key: str, error: BaseException) -> Exception:
    """Return what to raise for a failed request.

    Returns:
        Interrupted where another attempt may help, Replaced where the object has changed since it
        was listed, else a JobFailure that names store, object, Secret and what to do.

    """
    answer = StoreAnswer.parse(error)
    where = f"{key or 'the bucket'} in {bucket}"
    status, code = answer.status, answer.code
    said = " ".join(str(part) for part in (status, code) if part)

    # Addresses with a token of Azure (SAS) are secret as well, but a store answers with a code.
    is_store = code is not None and access.asked.secret is not None
    is_token = METADATA_SERVICE.search(answer.text) or TOKEN_SERVICE.search(answer.text)
    if is_token and not is_store:
        return _no_identity(access, answer)
    if status is None:
        return _no_answer(access, answer.text)
    if status == PRECONDITION:
        return Replaced(f"{where} was replaced")

    if code in NO_BUCKET:
        return access.failure(Reason.SOURCE_NOT_FOUND, f"there is no bucket {bucket!r} ({said})")
    if status == NOT_FOUND:
        return access.failure(Reason.SOURCE_NOT_FOUND, f"there is no {where} ({said})")
    if code in SLOW_DOWN or status in TRANSIENT_STATUS or status >= SERVER_ERRORS:
        return Interrupted(
            f"found status {said}", slow_down=code in SLOW_DOWN or status in {429, 503}
        )
    if code in WRONG_REGION:
        return _wrong_region(access, answer)

    who = access.credentials
    problem = PROBLEMS.get(code or "", "found an answer that is no file")
    if code not in PROBLEMS and status in {UNAUTHORIZED, FORBIDDEN}:
        problem = PROBLEMS["AccessDenied"]
    advice = f"; {access.advice}" if who == "no credentials" else ""
    return access.failure(
        Reason.SOURCE_REFUSED, f"{where}: {problem.format(who=_named(who))} ({said}){advice}"
    )


def _named(who: str) -> str:
    return "a request without credentials" if who == "no credentials" else who


def _wrong_region(access: SourceAccess, answer: StoreAnswer) -> Exception:
    region = EXPECTED_REGION.search(answer.text)
    expected = f"region {region[1]}" if region else "the bucket's region"
    found = access.asked.region or "the default"
    return access.failure(
        Reason.SOURCE_REFUSED,
        f"found region {found}, expected {expected}: set {access.field}.connection.region "
        f"({answer.status} {answer.code})",
    )


def _no_identity(access: SourceAccess, answer: StoreAnswer) -> Exception:
    """Return what to raise where the cloud gives no token for the store."""
    said = f" ({' '.join(str(part) for part in (answer.status, answer.code) if part)})"
    if access.has_identity:
        return Interrupted(
            f"{access.credentials} got no token: is it bound to a role of the store's cloud?{said}"
        )
    if access.asked.secret is not None:
        is_refused = answer.status is not None and answer.status < SERVER_ERRORS
        problem = f"the cloud gives no token for {access.credentials}{said}"
        return (
            access.failure(Reason.SOURCE_REFUSED, problem) if is_refused else Interrupted(problem)
        )
    return access.failure(Reason.SOURCE_REFUSED, f"found no credentials; {access.advice}")


def _no_answer(access: SourceAccess, text: str) -> Exception:
    if "certificate" in text.lower():
        return access.failure(
            Reason.SOURCE_REFUSED,
            "the store's certificate is not trusted: set "
            f"{access.field}.connection.caConfigMapRef, if a private authority signed it",
        )
    if "dns error" in text:
        return Interrupted("the store's host is not known")
    if "private key" in text or "PEM" in text or "service account" in text.lower():
        return access.failure(
            Reason.SOURCE_REFUSED, f"the key in {access.credentials} cannot be read"
        )
    return Interrupted("no answer" if "Connect" in text else "incomplete answer")
