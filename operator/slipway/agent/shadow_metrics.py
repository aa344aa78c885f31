"""Copies and pairs of a router pod in Prometheus' text format; pure."""

from collections.abc import Iterator

from slipway.api.pairs import DroppedCopies, PairOutcomes, Pairs

_PREFIX = "slipway_router_shadow_"
_METRICS = (
    ("copies_begun_total", "Copies that Envoy began to hand over."),
    ("copies_lost_total", "Copies that it could not hand over, or whose handing over broke off."),
    ("copies_dropped_total", "Copies that the comparer took and that made no pair."),
    ("pairs_total", "Requests that both were asked, by what became of them."),
    ("differing_total", "Of the pairs that both answered, those whose answers differ."),
)


def render_shadow_metrics(page: Pairs) -> str:
    """Return the page's numbers; empty where nothing was ever copied."""
    lines: list[str] = []
    for name, help_text in _METRICS:
        samples = list(_render_samples(name, page))
        if samples:
            lines += [f"# HELP {_PREFIX}{name} {help_text}", f"# TYPE {_PREFIX}{name} counter"]
            lines += (f"{_PREFIX}{name}{{{labels}}} {value}" for labels, value in samples)
    return "".join(f"{line}\n" for line in lines)


def _render_samples(name: str, page: Pairs) -> Iterator[tuple[str, int]]:
    match name:
        case "copies_begun_total":
            yield from ((f'route="{route}"', count) for route, count in page.offered.items())
        case "copies_lost_total":
            yield from ((f'route="{route}"', count) for route, count in page.lost.items())
        case "copies_dropped_total":
            for each in page.copies:
                for why in DroppedCopies.model_fields:
                    labels = f'route="{each.name}",revision="{each.candidate}",reason="{why}"'
                    yield labels, getattr(each.dropped, why)
        case "pairs_total":
            yield from _render_pairs(page)
        case _:
            for entry in page.pairs:
                yield _labels(entry.name, entry.stable, entry.candidate), entry.disagreed


def _render_pairs(page: Pairs) -> Iterator[tuple[str, int]]:
    for entry in page.pairs:
        labels = _labels(entry.name, entry.stable, entry.candidate)
        for outcomes in PairOutcomes.model_fields:
            stable, candidate = outcomes.split("_")
            became = f'outcome="{candidate}",stable_outcome="{stable}"'
            yield f"{labels},{became}", getattr(entry.outcomes, outcomes)


def _labels(route: str, stable: str, candidate: str) -> str:
    return f'route="{route}",revision="{candidate}",stable="{stable}"'
