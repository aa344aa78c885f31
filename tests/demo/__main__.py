"""Command line of the demo; `make demo` calls it."""

import argparse
import sys
import time
from collections.abc import Sequence

from tests.demo import diagnosis, page
from tests.demo.prepare import PreparationError, make_cluster, make_models
from tests.demo.report import REPORT, Report, find_problems, render_summary
from tests.demo.rollouts import DemoRun, NotEnded, make_load, roll_out
from tests.demo.timeline import Timeline
from tests.demo.versions import NAME, NAMESPACE, VERSIONS, Version
from tests.install import release
from tests.install.helm import InstallError
from tests.kubectl import CLONE, SHELL, Kubectl, KubectlError

LOOK_AROUND = f"""
The model goes on serving. To look around:
  {SHELL}
  kubectl slipway describe {NAME} -n {NAMESPACE}
  kubectl get modeldeployments,modelroutes,pods -n {NAMESPACE}
To remove it (the next `make demo` does so, too):
  kubectl delete namespace {NAMESPACE}"""


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
        run = DemoRun(kubectl, load, timeline, report, began=time.time())
    except (PreparationError, InstallError, KubectlError) as error:
        print(error, file=sys.stderr)
        return 1

    problems = _roll_out(run, versions)
    _sum_up(run, problems)
    if arguments.write_docs and not problems:
        page.write_page(timeline.lines, report)

    # After the page: it shows the rollouts, not how to clean up.
    print(LOOK_AROUND)
    return 1 if problems else 0


def _roll_out(run: DemoRun, versions: Sequence[Version]) -> list[str]:
    """Return what went wrong; what the cluster has to say about it is printed then."""
    problems = []
    try:
        roll_out(run, versions)
    except (NotEnded, KubectlError) as error:
        problems.append(str(error))

    problems += find_problems(run.report, versions, run.records)
    if problems:
        diagnosis.print_diagnosis(run.kubectl)
    return problems


def _sum_up(run: DemoRun, problems: Sequence[str]) -> None:
    run.report.write()

    run.timeline.say()
    run.timeline.say(render_summary(run.report))
    run.timeline.say()
    for problem in problems:
        run.timeline.say(f"WRONG: {problem}")
    if not problems:
        run.timeline.say("Every outcome is right, and no request was lost.")

    print(f"report: {REPORT.relative_to(CLONE)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    numbers = range(1, len(VERSIONS) + 1)
    add = parser.add_argument
    add("--upto", type=int, choices=numbers, default=len(VERSIONS), help="last version to roll out")
    add("--reuse", action="store_true", help="take cluster, images and release as they are")
    add("--write-docs", action="store_true", help="put the output of a good run into docs/demo.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
