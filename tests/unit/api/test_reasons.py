import json

from slipway.api.reasons import MESSAGE_LENGTH, Course, Reason, Why
from slipway.api.verdict import Verdict


def test_every_reason_is_one_camel_case_word_with_a_line_of_meaning() -> None:
    for reason in Reason:
        assert reason.isalnum()
        assert reason[0].isupper()
        assert reason.meaning
        assert not reason.meaning.endswith(".")


def test_a_reason_is_its_wire_name() -> None:
    assert Reason.parse("RevisionRejected", Reason.HELD) is Reason.REVISION_REJECTED

    assert f"{Reason.REVISION_REJECTED}" == "RevisionRejected"
    assert json.dumps([Reason.REVISION_REJECTED]) == '["RevisionRejected"]'


def test_a_foreign_word_becomes_the_given_reason() -> None:
    assert Reason.parse("CrashLoopBackOff", Reason.POD_WAITING) is Reason.CRASH_LOOP_BACK_OFF
    assert Reason.parse("SomethingNew", Reason.POD_WAITING) is Reason.POD_WAITING


def test_what_needs_a_person_says_what_to_do() -> None:
    for reason in Reason:
        assert bool(reason.remedy) >= reason.needs_person


def test_passing_trouble_heals_by_itself_and_needs_nobody() -> None:
    passing = {reason for reason in Reason if reason.is_passing}

    assert passing == {Reason.FORBIDDEN, Reason.WEBHOOK_UNAVAILABLE, Reason.CLUSTER_UNAVAILABLE}
    assert all(reason.heals_by_itself and not reason.needs_person for reason in passing)
    assert Reason.REFUSED.heals_by_itself
    assert Reason.REFUSED.course is Course.HEALS


def test_a_message_that_is_too_long_is_cut_where_it_is_made() -> None:
    assert Why(Reason.HELD, "short").message == "short"
    cut = Why(Reason.HELD, "x" * 5000).message

    assert len(cut) == MESSAGE_LENGTH
    assert cut.endswith("…")


def test_a_fail_is_the_worst_and_a_pass_the_best() -> None:
    assert max(Verdict, key=lambda verdict: verdict.severity) is Verdict.FAIL

    assert min(Verdict, key=lambda verdict: verdict.severity) is Verdict.PASS
    assert Verdict.NO_DATA.severity > Verdict.INCONCLUSIVE.severity
