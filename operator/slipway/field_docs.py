"""Whether types take the docstrings of their fields as descriptions, for schemas and pages.

pydantic reads them from the source, class by class, which is a fifth of the start of a Job's
program and of the operator. Only what is generated from the types needs them.
"""

import os

VARIABLE = "SLIPWAY_FIELD_DOCS"
KEPT = VARIABLE in os.environ
"""Read once: classes take their docstrings when they are made."""
