"""The state machine of a rollout: a stage of the status is a file of the same name.

                 new input
        idle ───────────────► packaging ──► starting ──► checking
          ▲                       │            │            │
          │                  no image: retried │            │ golden set or signature
          │                                    │            ▼ disagrees: rejected
          │                       ┌────────────┴──── progressing ◄─┐ raising: the next weight,
          │                       │ evidence against it,   │       │ once every guard agrees
          │                       │ abort, another input   ├───────┘
          │                       ▼                        ▼
          ├──── drained ◄── rolling_back ◄────────────── baking
          │                                                │
          └───────────────── promotion ◄───────────────────┘
                                 ▲
        straight: no steps, stable is down, or a person said so

What belongs here: what one pass decides about a rollout, as pure functions from a `Draft` (the
decision so far, the facts, the time) to a `Draft`. What never does: reading, writing, clocks, and
the mathematics of the analysis (`policy.analysis`).

Start with `decide.decide`; then one stage after the other. What must agree before a weight is
raised or a version promoted is `guards`. Taking traffic back is `rolling_back`. What a person asks
for is `actions`.
"""
