"""One pass over one object: observe, decide, check the invariants, write, publish the status.

What belongs here: reading the cluster into facts, and writing what was decided, with one writer per
kind of object. What never does: deciding about a rollout (`slipway.policy`), the shape of an object
(`slipway.render`), or how a server is reached (`slipway.adapters`, through `ports`). Start reading
with `reconciler`, whose `_reconcile` is the table of contents, then `execute`, the order of writes.
"""
