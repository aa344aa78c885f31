"""Who serves alone: the backend that must keep its traffic, whatever the status says."""

from collections.abc import Mapping

from slipway.policy.facts import Facts


def find_lost_server(facts: Facts, weights: Mapping[str, int]) -> str | None:
    """Return a revision that answers users and would lose them to backends that cannot, or None.

    `weights` are those to be written, in percent by revision. A backend can answer if it has a
    ready replica. Where nobody answers now, nothing can be lost.
    """
    if facts.route is None or any(
        weight > 0 and facts.ready(name) > 0 for name, weight in weights.items()
    ):
        return None
    written = facts.route.weights
    return next((name for name, weight in written.items() if weight and facts.ready(name)), None)
