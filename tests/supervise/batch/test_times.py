import pytest

from outlast.supervise.batch import times


@pytest.mark.parametrize(("text", "wanted_s"), [("90", 90), ("2:30", 150), ("24:00:00", 86400), ("0", 0)])
def test_a_limit(text, wanted_s):
    assert times.seconds(text) == wanted_s


@pytest.mark.parametrize("text", ["", "INFINITY", "1:2:3:4", "-1", "1.5", ":", "1:", "²", "9" * 99])
def test_what_is_no_limit(text):
    assert times.seconds(text) is None


def test_moments():
    assert times.c_moment("Mon Apr 22 07:17:36 2013") == times.iso_moment("2013-04-22T07:17:36") == 1366615056.0
    assert times.c_moment("Sun Mar  3 00:00:00 2013") == times.iso_moment("2013-03-03T00:00:00")


@pytest.mark.parametrize("text", ["", "now", "Mon Foo 22 07:17:36 2013", "Mon Apr 31 07:17:36 2013", "2013-04-22T99"])
def test_what_is_no_moment(text):
    assert times.c_moment(text) is None
    assert times.iso_moment(text) is None


@pytest.mark.parametrize(("seconds_s", "wanted"), [(1, "00:01:00"), (3661, "01:01:01"), (400_000, "111:06:40")])
def test_a_limit_is_said(seconds_s, wanted):
    assert times.clock(seconds_s) == wanted
