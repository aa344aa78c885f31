"""The state machine of a rollout: a stage of the status is a file of the same name.

What belongs here: what one pass decides about a rollout, as pure functions of facts and a time.
What never does: reading, writing, a clock, mathematics of the analysis. Start with `decide.decide`.
"""
