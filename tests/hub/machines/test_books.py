"""The books know what is lost, twice and told, and what nobody can know."""

from __future__ import annotations

from tests.hub.machines.books import EVERYBODY, Books, Member


def here(books: Books, name: str) -> Member:
    member = books.begin(name)
    books.arrived(member)
    return member


def in_red(books: Books, name: str) -> Member:
    member = here(books, name)
    books.joined(books.joining(member, "red"))
    return member


def said(books: Books, sender: Member | None, room: str = "red", **how: bool) -> int:
    one = books.say(sender, room, **how)
    books.done(one)
    return one.uid


def test_what_a_member_did_not_hear_is_lost():
    books = Books()
    ada, bob, eve = in_red(books, "ada"), in_red(books, "bob"), here(books, "eve")
    uid = said(books, ada)
    for each in (ada,):
        books.hear(each, uid)
    assert books.waiting() == 1
    assert eve.rooms == frozenset()
    books.close()
    assert (books.page.due, books.page.lost) == (2, 1)
    assert books.page.wrong == [f"lost: bob did not hear {uid} to red"]
    assert bob.rooms == {"red"}


def test_who_was_told_of_a_gap_after_it_has_lost_it_with_a_word():
    books = Books()
    ada = in_red(books, "ada")
    said(books, None)
    books.tell(ada)
    assert books.waiting() == 0
    later = said(books, None)
    assert books.waiting() == 1  # a gap is no excuse for what is said afterwards
    books.hear(ada, later)
    books.close()
    assert (books.page.told, books.page.lost, books.page.wrong) == (1, 0, [])


def test_a_session_that_is_forgotten_was_told_and_one_that_said_goodbye_is_owed_nothing():
    books = Books()
    ada, bob = in_red(books, "ada"), in_red(books, "bob")
    said(books, None)
    books.end(ada, is_lost=True)
    books.end(bob, is_lost=False)
    said(books, None)
    books.close()
    assert (books.page.due, books.page.told, books.page.lost) == (1, 1, 0)
    assert not books.members


def test_what_comes_twice_and_what_comes_to_others_is_seen():
    books = Books()
    ada, eve = in_red(books, "ada"), here(books, "eve")
    uid, one = said(books, ada, is_skipping=True), said(books, None, EVERYBODY)
    for member, each in ((ada, uid), (eve, uid), (eve, 99), (eve, one), (eve, one), (ada, one)):
        books.hear(member, each)
    books.close()
    assert books.page.twice == 1
    assert books.page.wrong == [
        "eve heard 99, which was said long ago, or never",
        f"ada heard {uid}, from which it was left out",
        f"eve heard {uid} to red, where it was not",
        f"twice: eve heard {one} to * again",
    ]


def test_who_was_told_of_a_gap_may_hear_twice_and_of_rooms_that_it_has_left():
    books = Books()
    ada = in_red(books, "ada")
    books.left(books.leaving(ada, "red"))
    uid, one = said(books, None), said(books, None, EVERYBODY)
    for each in (uid, one, one):
        books.hear(ada, each)
    books.shake(ada)
    later = said(books, None)  # it may be in the room again, as far as anybody knows
    books.hear(ada, later)
    books.close()
    assert (books.page.told, books.page.twice, books.page.wrong) == (2, 0, [])


def test_between_asking_and_being_answered_nobody_can_know():
    books = Books()
    ada = in_red(books, "ada")
    one = books.say(ada, "red")
    books.doubt(one)  # it may have been said, or not
    books.leaving(ada, "red")
    two = said(books, None)  # it may be gone, or not
    books.hear(ada, two)
    books.close()
    assert (books.page.unsure, books.page.due, books.page.wrong) == (1, 0, [])


def test_order_is_of_what_was_said_after_an_answer():
    books = Books()
    ada = in_red(books, "ada")
    first, second = said(books, None), said(books, None)
    together = [books.say(None, "red") for _ in range(2)]
    for uid in (second, first, together[1].uid, together[0].uid):
        books.hear(ada, uid)
    for each in together:
        books.done(each)
    books.close()
    assert books.page.wrong == [f"order: ada heard {first} after {second}"]


def test_two_members_hear_in_one_order_what_was_said_at_once():
    books = Books()
    ada, bob = in_red(books, "ada"), in_red(books, "bob")
    one, two = (books.say(None, "red") for _ in range(2))
    for member, order in ((ada, (one, two)), (bob, (two, one))):
        for said in order:
            books.hear(member, said.uid)
    for said in (one, two):
        books.done(said)
    books.close()
    assert books.page.wrong == [f"order: bob heard {one.uid} after {two.uid}"]


def test_what_happens_is_noted_for_the_fault_that_goes_on():
    books = Books()
    ada = in_red(books, "ada")
    books.fault = "kill"
    one, two = said(books, ada), said(books, ada)
    books.fault = ""
    books.hear(ada, two)
    books.hear(ada, one)
    books.close()
    page = books.pages["kill"]
    assert (page.messages, page.due, page.disordered, page.wrong) == (2, 2, 1, [])
    assert books.pages[""].messages == 0
