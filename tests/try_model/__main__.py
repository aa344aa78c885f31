"""Command line of the try; `make try` calls it."""

import argparse
import re
import sys
from pathlib import Path

from tests.demo.prepare import PreparationError, is_ready, make_cluster
from tests.demo.report import Seconds
from tests.install import release
from tests.install.helm import InstallError
from tests.kubectl import CLONE, Kubectl, KubectlError
from tests.try_model import advice
from tests.try_model.deployment import DEFAULT_NAME, NAMESPACE
from tests.try_model.inputs import UnknownInputs
from tests.try_model.model_files import ModelFile, NotAModel, open_model
from tests.try_model.trial import Ended, Trial, try_out

MOST_REQUESTS = 500.0
"""A second; one client in a pod keeps no more up."""
NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
OURS = "try-"
"""How the names of the try's own Services begin."""
INTERRUPTED = 130


def main() -> int:
    """Return 0 if the version was promoted, 1 if not, 130 after Ctrl-C."""
    arguments = _parser().parse_args()
    if arguments.model is None:
        print(advice.NO_MODEL, file=sys.stderr)
        return 1

    try:
        with open_model(arguments.model) as model:
            ended = _try_out(arguments, model)
    except (NotAModel, PreparationError, InstallError, KubectlError, UnknownInputs) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        words = advice.after_interrupt(arguments.name, arguments.namespace)
        print(f"\n{words}", file=sys.stderr)
        return INTERRUPTED

    request = _write_request(ended.request, arguments.name)
    path = _shown(arguments.model)
    print(advice.what_next(ended, arguments.name, arguments.namespace, path, request))
    return 0 if ended.is_promoted else 1


def _try_out(arguments: argparse.Namespace, model: ModelFile) -> Ended:
    kubectl = Kubectl()
    if arguments.reuse or is_ready(kubectl):
        print("the cluster and Slipway are ready", flush=True)
    else:
        make_cluster(Seconds())

    trial = Trial(
        kubectl=kubectl,
        image=release.images().operator,
        model=model,
        name=arguments.name,
        namespace=arguments.namespace,
        rate=arguments.rate,
    )
    return try_out(trial)


def _write_request(request: str, name: str) -> str:
    """Write a request for people to send, and return its path; empty where there is none."""
    if not request:
        return ""
    path = CLONE / f"build/{name}-request.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(request)
    return str(_shown(path))


def _shown(path: Path) -> Path:
    """Return the path as it is typed in this clone."""
    return path.relative_to(CLONE) if path.is_relative_to(CLONE) else path


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"found {text!r}, expected a lower-case letter, then at most 39 letters, digits and '-'"
        )
    if text.startswith(OURS):
        raise argparse.ArgumentTypeError(f"names with {OURS!r} are those of the try itself")
    return text


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= MOST_REQUESTS:
        raise argparse.ArgumentTypeError(
            f"found {text!r}, expected requests a second, at most {MOST_REQUESTS:.0f}"
        )
    return rate


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.try_model", description=__doc__)
    add = parser.add_argument
    add("model", type=Path, nargs="?", help="a model file, an archive, or a directory")
    add("--name", type=_name, default=DEFAULT_NAME, help=f"default: {DEFAULT_NAME}")
    add("--rate", type=_rate, default=50.0, help="requests a second; default: 50")
    add("--namespace", default=NAMESPACE, help=f"default: {NAMESPACE}")
    add("--reuse", action="store_true", help="take cluster, images and release as they are")
    return parser


if __name__ == "__main__":
    sys.exit(main())
