"""Programs start without the descriptions of fields; what is generated has them."""

import os
import subprocess
import sys

from slipway import field_docs
from slipway.settings import RegistryAccess

SHOWN = (
    "from slipway.settings import RegistryAccess;"
    "print(RegistryAccess.model_fields['endpoint'].description)"
)


def test_a_program_that_writes_no_schema_reads_no_docstrings() -> None:
    plain = {key: value for key, value in os.environ.items() if key != field_docs.VARIABLE}

    shown = subprocess.run(
        [sys.executable, "-c", SHOWN],
        env={**plain, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert shown.stdout.strip() == "None"


def test_where_schemas_are_written_the_docstrings_are_the_descriptions() -> None:
    described = RegistryAccess.model_fields["endpoint"].description

    assert described is not None
    assert described.startswith("host[:port] to connect to.")
