"""Command line of the demo; `make demo` calls it."""

import argparse
import sys
import time
from collections.abc import Sequence

from tests.demo import diagnosis, page
from tests.demo.prepare import PreparationError, make_cluster, make_models
from tests.demo.report import REPORT, Report, problems, table
from tests.demo.rollouts import NotEnded, Scene, make_load, roll_out
from tests.demo.timeline import Timeline
from tests.demo.versions import NAMESPACE, VERSIONS, Version
from tests.install import release
from tests.install.helm import InstallError
from tests.kubectl import CLONE, Kubectl, KubectlError


def main() -> int:
    """Run the demo; 0 only if every outcome is right and no request was lost."""
    arguments = _parser().parse_args()
    versions = VERSIONS[: arguments.upto]
    kubectl, report, timeline = Kubectl(), Report(), Timeline()
    try:
        if not arguments.reuse:
            make_cluster(report.seconds)
        samples = make_models(kubectl, report.seconds)
        load = make_load(kubectl, release.images().operator, samples.load)
        scene = Scene(kubectl, load, timeline, report, began=time.time())
    except (PreparationError, InstallError, KubectlError) as error:
        print(error, file=sys.stderr)
        return 1
    said = _roll_out(scene, versions)
    _sum_up(scene, said)
    if arguments.write_docs and not said:
        page.write(timeline.lines, report)
    if not arguments.keep:
        kubectl.delete_namespace(NAMESPACE, wait_seconds=0)
    return 1 if said else 0


def _roll_out(scene: Scene, versions: Sequence[Version]) -> list[str]:
    """Return what went wrong; what the cluster has to say about it is printed then."""
    said = []
    try:
        roll_out(scene, versions)
    except (NotEnded, KubectlError) as error:
        said.append(str(error))
    said += problems(scene.report, versions, scene.records)
    if said:
        diagnosis.show(scene.kubectl)
    return said


def _sum_up(scene: Scene, said: Sequence[str]) -> None:
    scene.report.write()
    scene.timeline.say()
    scene.timeline.say(table(scene.report))
    scene.timeline.say()
    for problem in said:
        scene.timeline.say(f"WRONG: {problem}")
    if not said:
        scene.timeline.say("Every outcome is right, and no request was lost.")
    print(f"report: {REPORT.relative_to(CLONE)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    numbers = range(1, len(VERSIONS) + 1)
    add = parser.add_argument
    add("--upto", type=int, choices=numbers, default=len(VERSIONS), help="last version to roll out")
    add("--reuse", action="store_true", help="take cluster, images and release as they are")
    add("--keep", action="store_true", help=f"leave the namespace {NAMESPACE} as it is at the end")
    add("--write-docs", action="store_true", help="put the output of a good run into docs/demo.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
