"""A model of one's own on the test cluster, `python -m tests.try_model MODEL`; `make try` calls it.

It brings a file into the cluster, shows and applies the ModelDeployment for it as the next version,
sends requests meanwhile, and tells what becomes of the version. Start reading with `trial.try_out`.
"""
