"""How many replicas a measured load needs, and what the status says about it.

What belongs here: pure recommendations from samples of load. What never does: reading the samples,
writing replicas, or what a rollout needs (`rollout.capacity`). Start with
`recommend.recommend_replicas`.
"""
