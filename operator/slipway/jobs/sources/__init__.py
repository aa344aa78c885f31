"""Sources of models and golden sets: one module for each URI scheme.

What belongs here: getting files, within limits, from places that are not trusted. What never does:
looking into a model. Start with `fetch`, which knows the schemes.
"""
