"""The operator process: it wires the parts together, watches, and reports its health.

What belongs here: composition, process lifetime, probes, metrics and logs of the process. What
never does: a decision about a rollout, which is `slipway.policy`'s, or a write, which is
`slipway.reconcile`'s. Start reading with `main`, which runs the parts, and `wiring`, which makes
them.
"""
