"""Argo CD's health script, run as Argo CD does: Lua 5.1, the object as the global `obj`."""

from pathlib import Path
from typing import Any

from lupa import lua51  # type: ignore[import-untyped]
from slipway.api.base import Manifest

SCRIPT = Path(__file__).resolve().parents[3] / "docs/gitops/health.lua"
STATUSES = {"Healthy", "Progressing", "Degraded", "Suspended", "Missing", "Unknown"}


def health(object_: Manifest) -> tuple[str, str]:
    """Return status and message."""
    runtime = lua51.LuaRuntime(register_eval=False, register_builtins=False)
    for library in ("os", "io", "package", "debug", "require", "dofile", "loadfile"):
        runtime.globals()[library] = None  # Argo CD gives a script none of these
    runtime.globals()["obj"] = _table(runtime, object_)
    answer = runtime.execute(SCRIPT.read_text())
    status, message = str(answer["status"]), str(answer["message"])
    assert status in STATUSES
    return status, message


def _table(runtime: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return runtime.table_from({key: _table(runtime, child) for key, child in value.items()})
    if isinstance(value, list):
        return runtime.table_from([_table(runtime, child) for child in value])
    return value
