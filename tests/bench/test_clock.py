import pytest

from tests.bench.clock import busy_share


def test_the_share_counts_from_when_all_slots_are_busy_to_the_given_time() -> None:
    # Slot one: 0 to 4, 4 to 9; slot two: 2 to 5, idle until 7, 7 to 12. All are busy from 2 on.
    began = {0: 0.0, 1: 2.0, 2: 4.0, 3: 7.0}
    ended = {0: 4.0, 1: 5.0, 2: 9.0, 3: 12.0}
    share, ready = busy_share(began, ended, 2, until=8.0)
    assert ready == 2.0
    assert share == pytest.approx((2 + 3 + 4 + 1) / 12)


def test_slots_that_were_never_all_busy_have_no_share() -> None:
    with pytest.raises(ValueError, match="never all busy"):
        busy_share({0: 0.0}, {0: 1.0}, 2, until=1.0)
