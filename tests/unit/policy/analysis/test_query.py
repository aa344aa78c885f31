"""Queries: what is filled in, what is refused, and what nobody can break out of."""

from dataclasses import replace

import pytest
from slipway.errors import SpecError
from slipway.policy.analysis.external.query import Arm, fill_placeholders

ARM = Arm(name="digits", namespace="vision", revision="1a2b3c4d", version="3.1-rc_2")


def test_every_placeholder_is_filled() -> None:
    query = 'x{name="{{name}}",ns="{{namespace}}",r="{{revision}}",v="{{version}}",p=~"{{pods}}"}'
    assert fill_placeholders("f", query, ARM) == (
        'x{name="digits",ns="vision",r="1a2b3c4d",v="3.1-rc_2",'
        'p=~"digits-1a2b3c4d-[a-z0-9]+-[a-z0-9]+"}'
    )


@pytest.mark.parametrize(
    "query", ["{{pod}}", "{{ name }}", "{{}}", "{{name", "{{name}", "{{__class__}}", "{{{{name}}}}"]
)
def test_an_unknown_placeholder_is_refused_with_those_that_exist(query: str) -> None:
    with pytest.raises(SpecError, match=r"spec\.x: found the placeholder .*\{\{revision\}\}"):
        fill_placeholders("spec.x", query, ARM)


@pytest.mark.parametrize(
    "version", ['"} or vector(0)', "a\nb", "{{name}}", "", "a\\", "ä", "1'", "-1"]
)
def test_a_value_that_could_leave_its_quotes_never_gets_in(version: str) -> None:
    with pytest.raises(SpecError):
        fill_placeholders("f", '{v="{{version}}"}', replace(ARM, version=version))


def test_braces_of_promql_stay() -> None:
    assert fill_placeholders("f", 'sum(x{a="b"}) or vector(0)', ARM) == 'sum(x{a="b"}) or vector(0)'
