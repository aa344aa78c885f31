"""What is there before the demo begins."""

from pathlib import Path

from tests.demo.prepare import is_ready
from tests.kubectl import Kubectl


def test_a_machine_without_a_kubectl_has_no_release(tmp_path: Path) -> None:
    assert not is_ready(Kubectl(tmp_path / "kubectl", tmp_path / "kubeconfig"))
