from slipway.comparer.rate import CopyRate


def test_no_more_than_one_second_of_tokens_is_saved_up() -> None:
    bucket = CopyRate()
    assert [bucket.take(3, 0.0) for _ in range(5)] == [True, True, True, False, False]
    assert [bucket.take(3, 100.0) for _ in range(5)] == [True, True, True, False, False]


def test_tokens_come_evenly() -> None:
    bucket = CopyRate()
    taken = sum(bucket.take(5, second / 100) for second in range(1000))
    assert 5 * 10 <= taken <= 5 * 11
