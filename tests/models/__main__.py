"""Write the sample models into a directory: `python -m tests.models DIRECTORY`."""

import argparse
from pathlib import Path

from tests.models.samples import build_samples


def main() -> None:
    """Write every file, and say how good the models are."""
    parser = argparse.ArgumentParser(prog="python -m tests.models", description=__doc__)
    parser.add_argument("directory", type=Path)
    directory: Path = parser.parse_args().directory
    directory.mkdir(parents=True, exist_ok=True)
    samples = build_samples()
    for name, content in samples.files.items():
        (directory / name).write_bytes(content)
        accuracy = samples.accuracy.get(name)
        read = "" if accuracy is None else f"  reads {accuracy:.1%} of the golden set right"
        print(f"{name:20} {len(content):7,} bytes{read}")


if __name__ == "__main__":
    main()
