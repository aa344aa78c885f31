"""End to end: real rollouts on the running cluster, and what must not disturb them.

One worker runs the modules in the order of their numbers; several share them (tests/lanes.py). A
client load goes on from the first to the last but one, and every test says what it may cost:
nothing, but where a model itself takes requests down.

`SLIPWAY_QUIET_SECONDS` is how long ten idle models must go without a write (300), and
`SLIPWAY_E2E_KEEP` leaves the namespaces for a look. What was measured beside is in `.e2e/`.
"""
