"""Which proxies are waited for, in words."""

from slipway.policy.facts import Facts


def name_late_proxies(facts: Facts) -> str:
    """Return the proxies that do not run the newest route yet, or why there is none."""
    return _name_proxies(facts.unacknowledged, facts)


def name_all_proxies(facts: Facts) -> str:
    """Return the proxies that a route which is only now written waits for, in the same words."""
    return _name_proxies(tuple(pod.meta.name for pod in facts.proxies), facts)


def _name_proxies(names: tuple[str, ...], facts: Facts) -> str:
    if names:
        return f"{', '.join(names)} to acknowledge the newest route"
    problem = f" ({facts.router_problem})" if facts.router_problem else ""
    return f"a router pod to be ready{problem}"
