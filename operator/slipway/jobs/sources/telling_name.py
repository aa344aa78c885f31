"""Whether a file's name says what the file is."""

from slipway.jobs.sources.archive import is_archive
from slipway.render.model_formats import MODEL_FILES, MODEL_SUFFIXES


def is_telling_name(name: str) -> bool:
    """Return whether a name says that the file is an archive or a model.

    A name is part of the model's digest, so one that says something is never replaced.
    """
    is_model = name in MODEL_FILES or name.lower().endswith(MODEL_SUFFIXES)
    return is_model or is_archive(name)
