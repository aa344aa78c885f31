"""Contracts: every type, name and word that crosses a process border.

What belongs here: the spec and status of both custom resources, what the operator and its Jobs
tell each other, names, reasons, verdicts and wire formats; and the generator that turns the types
into CRDs, the chart's schema and docs/api.md. What never does: I/O, decisions and rendering.
Start with `modeldeployment`, which is what users write and read.
"""
