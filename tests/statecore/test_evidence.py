"""What an account has lately seen of its platform, on which the reading of a refusal rests."""

from hypothesis import given
from hypothesis import strategies as st

from statecore.evidence import Recent
from statecore.units import MINUTES, SECONDS
from tests.statecore.strategies import often

NOW = 1_790_000_000 * SECONDS


def test_requests_are_counted_over_the_last_second_and_the_last_five_minutes() -> None:
    """
    Both limits were reported for iLink; the interval is open at its old end.
    """
    recent = Recent()
    for ago in (0, 1, SECONDS - 1, SECONDS, 4 * MINUTES, 5 * MINUTES - 1, 5 * MINUTES):
        recent.asked(NOW - ago)

    assert recent.last_second(NOW) == 3
    assert recent.last_minutes(NOW) == 6


def test_nothing_was_seen_at_first() -> None:
    """
    After a restart that costs at most one more experiment a chat.
    """
    recent = Recent()

    assert (recent.last_second(NOW), recent.last_minutes(NOW)) == (0, 0)
    assert recent.others_refused("ann", 0) == ()
    assert recent.others_accepted("ann") == 0
    assert not recent.bare_refused("ann")


def test_other_chats_refused_with_nothing_taken_since_speak_against_the_account() -> None:
    """
    Newest first, each once, and never the chat itself.
    """
    recent = Recent()
    for chat in ("ann", "bob", "cyd", "bob"):
        recent.refused(chat, NOW, bare=False)

    assert recent.others_refused("ann", NOW) == ("bob", "cyd")
    assert recent.others_refused("bob", NOW) == ("cyd", "ann")


def test_anything_taken_clears_the_account() -> None:
    """
    What was refused before it was the chat's own fault; even if it was the asking chat's own message that went.
    """
    recent = Recent()
    recent.refused("bob", NOW, bare=False)
    recent.taken("ann", NOW)
    recent.refused("cyd", NOW, bare=False)

    assert recent.others_refused("ann", 0) == ("cyd",)


def test_old_refusals_speak_for_nothing() -> None:
    """
    A minute ago is another story.
    """
    recent = Recent()
    recent.refused("bob", NOW - 61 * SECONDS, bare=False)
    recent.refused("cyd", NOW - 60 * SECONDS, bare=False)

    assert recent.others_refused("ann", NOW - 60 * SECONDS) == ("cyd",)


def test_what_others_got_through_since_the_first_refusal_in_a_row_clears_the_account() -> None:
    """
    The chat is refused while others are served, so it is the chat.
    """
    recent = Recent()
    recent.taken("bob", NOW)
    recent.refused("ann", NOW, bare=False)
    recent.taken("bob", NOW)
    recent.taken("cyd", NOW)
    recent.refused("ann", NOW, bare=True)
    recent.taken("bob", NOW)

    assert recent.others_accepted("ann") == 3


def test_the_row_of_refusals_ends_where_the_chat_itself_got_something_through() -> None:
    """
    What others got through before that proves nothing about now.
    """
    recent = Recent()
    recent.refused("ann", NOW, bare=False)
    recent.taken("bob", NOW)
    recent.taken("ann", NOW)
    recent.taken("bob", NOW)
    recent.refused("ann", NOW, bare=False)
    recent.taken("cyd", NOW)

    assert recent.others_accepted("ann") == 1


def test_a_chat_that_was_not_refused_learns_nothing_from_others() -> None:
    """
    There is no refusal since which to count.
    """
    recent = Recent()
    recent.taken("bob", NOW)

    assert recent.others_accepted("ann") == 0


def test_the_experiment_is_not_repeated_until_something_changed() -> None:
    """
    An attempt without the token, refused too, has said all that it can say.
    """
    recent = Recent()
    recent.refused("ann", NOW, bare=True)
    recent.refused("ann", NOW, bare=False)

    assert recent.bare_refused("ann")
    assert not recent.bare_refused("bob")


def test_writing_or_getting_something_through_makes_the_experiment_worth_it_again() -> None:
    """
    Both bring something new about the chat's token.
    """
    wrote, served = Recent(), Recent()
    for recent in (wrote, served):
        recent.refused("ann", NOW, bare=True)
    wrote.heard("ann")
    served.taken("ann", NOW)

    assert not wrote.bare_refused("ann")
    assert not served.bare_refused("ann")


ANSWERS = st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=30)


@often
@given(ANSWERS, st.integers(0, 30))
def test_evidence_is_what_a_plain_reading_of_the_answers_says(answers: list[tuple[str, bool]], since: int) -> None:
    """
    The loops stop early; a reading of the whole list must come to the same.
    """
    recent = Recent()
    for at, (chat, taken) in enumerate(answers):
        if taken:
            recent.taken(chat, at)
        else:
            recent.refused(chat, at, bare=False)
    last_taken = max((at for at, (_, taken) in enumerate(answers) if taken), default=-1)
    own_taken = max((at for at, (chat, taken) in enumerate(answers) if taken and chat == "a"), default=-1)
    own_refused = [at for at, (chat, taken) in enumerate(answers) if not taken and chat == "a" and at > own_taken]

    expected_refused = {
        chat
        for at, (chat, taken) in enumerate(answers)
        if not taken and chat != "a" and at > last_taken and at >= since
    }
    expected_accepted = sum(
        taken and chat != "a" and bool(own_refused) and at > own_refused[0] for at, (chat, taken) in enumerate(answers)
    )

    assert set(recent.others_refused("a", since)) == expected_refused
    assert recent.others_accepted("a") == expected_accepted


def test_what_is_remembered_is_bounded() -> None:
    """
    A flood of answers must not fill the memory: 1024 of each, which is more than three a second for as long as is looked at.
    """
    recent = Recent()
    for at in range(3000):
        recent.asked(at)
        recent.taken("ann", at)
        recent.refused("ann", at, bare=True)

    assert len(recent._requests) == len(recent._answers) == 1024
    assert recent.last_minutes(3000) == 1024


def test_chats_whose_answers_were_lost_are_counted_while_that_is_evidence() -> None:
    """
    Several at once are a fault of the account; one a week is a fault of the way.
    """
    recent = Recent()

    assert recent.lost("ann", NOW, 60 * SECONDS) == 1
    assert recent.lost("ann", NOW, 60 * SECONDS) == 1
    assert recent.lost("bob", NOW + 60 * SECONDS, 60 * SECONDS) == 2
    assert recent.lost("cyd", NOW + 60 * SECONDS + 1, 60 * SECONDS) == 2

    recent.taken("ann", NOW + 61 * SECONDS)
    assert recent.lost("ann", NOW + 61 * SECONDS, 60 * SECONDS) == 1
