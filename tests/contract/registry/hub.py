"""A hub with the routes that huggingface_hub uses: models, revisions, gated and private ones."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from tests.contract.registry.servers import Conversation, Seen


@dataclass
class Hub:
    """The models of one hub."""

    commits: dict[str, Mapping[str, bytes]] = field(default_factory=dict)
    """Files by commit."""
    branches: dict[str, str] = field(default_factory=dict)
    """Commits by branch."""
    repository: str = "acme/digits"
    token: str | None = None
    """Asked for where set."""
    is_gated: bool = False
    statuses: list[int] = field(default_factory=list)
    """Answered first to downloads."""
    cut_after: list[int] = field(default_factory=list)
    """Bytes of a body after which the connection breaks."""
    wrong_digests: bool = False
    """Promise other digests than the files have."""
    sent: int = 0

    def push(self, branch: str, files: Mapping[str, bytes]) -> str:
        """Make a commit on a branch, and return it."""
        named = repr(sorted((name, hashlib.sha1(data).hexdigest()) for name, data in files.items()))  # noqa: S324 - as git
        commit = hashlib.sha1(named.encode()).hexdigest()  # noqa: S324 - as git
        self.commits[commit] = {".gitattributes": b"*.onnx lfs\n", **files}
        self.branches[branch] = commit
        return commit

    def __call__(self, talk: Conversation, seen: Seen) -> None:
        path = unquote(urlsplit(talk.path).path).strip("/")
        is_known = seen.headers.get("authorization") == f"Bearer {self.token}"
        if self.token is not None and not is_known:
            code = "GatedRepo" if self.is_gated else "RepoNotFound"
            talk.answer(403 if self.is_gated else 401, {"X-Error-Code": code})
        elif path.startswith(f"api/models/{self.repository}"):
            self._describe(talk, path.removeprefix(f"api/models/{self.repository}").strip("/"))
        elif path.startswith(f"{self.repository}/resolve/"):
            revision, _, name = path.removeprefix(f"{self.repository}/resolve/").partition("/")
            self._serve(talk, seen, revision, name)
        else:
            talk.answer(404, {"X-Error-Code": "RepoNotFound"})

    def _describe(self, talk: Conversation, rest: str) -> None:
        kind, _, revision = rest.partition("/")
        if kind == "tree":
            revision, _, _ = revision.partition("/")
        commit = self.branches.get(revision or "main", revision)
        if commit not in self.commits:
            talk.answer(404, {"X-Error-Code": "RevisionNotFound"})
            return

        files = self.commits[commit]
        if kind == "tree":
            entries = [
                {"type": "file", "path": name, "size": len(data), "oid": _oid(data)}
                | ({"lfs": self._lfs(data)} if name.endswith(".onnx") else {})
                for name, data in files.items()
            ]
            talk.answer(200, {"Content-Type": "application/json"}, json.dumps(entries).encode())
            return
        siblings = [
            {"rfilename": name, "size": len(data), "blobId": _oid(data)}
            | ({"lfs": self._lfs(data)} if name.endswith(".onnx") else {})
            for name, data in files.items()
        ]
        model = {"id": self.repository, "sha": commit, "private": False, "siblings": siblings}
        talk.answer(200, {"Content-Type": "application/json"}, json.dumps(model).encode())

    def _lfs(self, data: bytes) -> dict[str, object]:
        digest = hashlib.sha256(data + b"!" * self.wrong_digests).hexdigest()
        return {"sha256": digest, "oid": digest, "size": len(data), "pointerSize": 130}

    def _serve(self, talk: Conversation, seen: Seen, revision: str, name: str) -> None:
        commit = self.branches.get(revision, revision)
        data = self.commits.get(commit, {}).get(name)
        if data is None:
            talk.answer(404, {"X-Error-Code": "EntryNotFound"})
            return
        if talk.command == "GET" and self.statuses:
            talk.answer(self.statuses.pop(0))
            return

        headers = {"ETag": f'"{_oid(data)}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        start, status, wanted = 0, 200, seen.headers.get("range")
        if wanted is not None:
            start, status = int(wanted.removeprefix("bytes=").partition("-")[0]), 206
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        headers["Content-Length"] = str(len(data) - start)
        limit = self.cut_after.pop(0) if talk.command == "GET" and self.cut_after else None
        body = data[start:][:limit]
        if talk.command == "GET":
            self.sent += len(body)
        talk.answer(status, headers, body)
        if limit is not None and limit < len(data) - start:
            talk.cut()


def _oid(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()  # noqa: S324 - as git
