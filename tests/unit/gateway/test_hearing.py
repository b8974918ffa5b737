"""Nobody is called silent by one who may not have heard him."""

from services.gateway.sweeps import Hearing


def test_it_takes_a_while_of_listening() -> None:
    hearing = Hearing(10.0)
    assert not hearing.enough
    hearing.note(hears=True, caught_up=True, at=100.0)
    assert not hearing.enough
    hearing.note(hears=True, caught_up=False, at=109.0)
    assert not hearing.enough
    hearing.note(hears=True, caught_up=False, at=110.0)
    assert hearing.enough


def test_it_begins_when_what_waited_is_on_disk() -> None:
    hearing = Hearing(10.0)
    hearing.note(hears=True, caught_up=False, at=100.0)
    hearing.note(hears=True, caught_up=True, at=120.0)
    assert not hearing.enough
    hearing.note(hears=True, caught_up=True, at=130.0)
    assert hearing.enough


def test_it_begins_anew_when_progress_did_not_come_for_a_moment() -> None:
    hearing = Hearing(10.0)
    hearing.note(hears=True, caught_up=True, at=100.0)
    hearing.note(hears=False, caught_up=True, at=115.0)
    assert not hearing.enough
    hearing.note(hears=True, caught_up=True, at=116.0)
    assert not hearing.enough
    hearing.note(hears=True, caught_up=True, at=126.0)
    assert hearing.enough
