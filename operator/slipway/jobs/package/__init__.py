"""The package Job and the fetch init container: a model's files become an image or a directory.

What belongs here: planning the model repository, completing config.pbtxt, making layers, pushing
the image. What never does: fetching files, which `sources` does. Start with `main`, which has the
steps in their order.
"""
