"""What to do next, to be copied and pasted."""

import shlex
from pathlib import Path

from tests.kubectl import SHELL
from tests.try_model.deployment import DEFAULT_NAME
from tests.try_model.trial import Ended

NO_MODEL = """\
Which model? make try MODEL=path/to/model.onnx

It may be a file of your own, an archive or a directory with a model in it. These are ours:
  .venv/bin/python -m tests.models build/models
  make try MODEL=build/models/digits-1.onnx
  make try MODEL=build/models/digits-2.onnx"""


def what_next(ended: Ended, name: str, namespace: str, model: Path, request: str = "") -> str:
    """Return the commands that suit how it ended; `request` is the path of one, if there is any."""
    parts = [_try_again(ended, name, model)]
    if ended.is_promoted and model.suffix == ".onnx":
        parts.append(_break_it(name, ended.version, model))
    parts.append(_look(name, namespace, request))
    if ended.is_promoted and ended.before:
        back = f"kubectl slipway rollback {name} -n {namespace}"
        parts.append(f"To go back to version {ended.before}:\n  {back}")
    return "\n" + "\n\n".join([*parts, _remove(namespace)])


def after_interrupt(name: str, namespace: str) -> str:
    """Return what goes on by itself after Ctrl-C, and how to see it."""
    return f"""\
stopped: no more requests are sent. A version that was applied goes on by itself; to see it:
  {SHELL}
  kubectl slipway watch {name} -n {namespace}

{_remove(namespace)}"""


def make_try(model: str, name: str) -> str:
    """Return the command line for a file."""
    return f"make try MODEL={shlex.quote(model)}" + (
        f" NAME={name}" if name != DEFAULT_NAME else ""
    )


def _try_again(ended: Ended, name: str, model: Path) -> str:
    following = int(ended.version) + 1
    if ended.is_promoted:
        command = make_try("path/to/another.onnx", name)
        return f"The next file is version {following}, under the same requests:\n  {command}"
    return f"Once the file is mended, it is version {following}:\n  {make_try(str(model), name)}"


def _break_it(name: str, version: str, model: Path) -> str:
    half, quoted = max(1, model.stat().st_size // 2), shlex.quote(str(model))
    truncated, other = "build/truncated.onnx", "build/other-input.onnx"
    return f"""\
Break it on purpose; version {version} goes on serving:
  mkdir -p build
  head -c {half} {quoted} > {truncated}
  {make_try(truncated, name)}
    half a file: Triton does not load it, and the reason has Triton's words (LoadFailed)
  .venv/bin/python -m tests.try_model.other_input {quoted} {other}
  {make_try(other, name)}
    the same model with another shape of its input: rejected before it answers anybody
    (RejectedBySignature), and the reason has both shapes"""


def _look(name: str, namespace: str, request: str) -> str:
    url = f"localhost:8000/v2/models/{name}/infer"
    ask = f"""
  kubectl port-forward -n {namespace} service/{name} 8000 >/dev/null &    # ends with: kill %1
  curl --retry 5 --retry-connrefused {url} -d @{request}"""
    return f"""\
Look around{", and ask it yourself" if request else ""}:
  {SHELL}
  kubectl slipway describe {name} -n {namespace}
  kubectl slipway history {name} -n {namespace}
  kubectl slipway dashboard{ask if request else ""}"""


def _remove(namespace: str) -> str:
    return f"To remove all of it, files included:\n  kubectl delete namespace {namespace}"
