from slipway.api.canonical_json import canonical_json, sha256_of


def test_the_order_of_keys_makes_no_difference() -> None:
    assert sha256_of({"b": 1, "a": [2, 3]}) == sha256_of({"a": [2, 3], "b": 1})


def test_the_order_of_a_list_does() -> None:
    assert sha256_of([1, 2]) != sha256_of([2, 1])


def test_the_text_has_no_spaces_and_escapes_no_letters() -> None:
    assert canonical_json({"model": "größe", "a": 1}) == '{"a":1,"model":"größe"}'
