"""The analysis: what counters and other sources say about the candidate, compared with stable.

What belongs here: everything from counters and readings to one judgement per metric, pure and
total. What never does: reading (that is `reconcile.ask_sources` and the adapters), the state
machine (`policy.rollout` acts on the judgements), and mathematics without a rollout
(`policy.statistics`). Start with `study`, the frame of one look, then `judge`.
"""
