"""A story is told in a few lines, and lived through in virtual time."""

import pytest

from statecore.errors import ConfigError
from statecore.platform import Ended, Failure, Refusal, Unclear
from statecore.units import SECONDS
from statecore_journal.whatif.story import FOR_EVER, Story


@pytest.fixture
def story() -> Story:
    """Return a story in which a process begins and ann writes."""
    told = Story("wx", "weixin")
    told.starts(0)
    told.hears(1, "ann")
    return told


def test_what_is_not_said_to_go_wrong_goes_well(story: Story) -> None:
    """
    So a story holds only what matters.
    """
    story.sends(2, "ann", "hello", "again")

    played = story.run()

    assert (played.outcome.accepted, played.outcome.delivered, played.outcome.refused) == (1, 1, 0)
    assert played.incidents() == []


def test_a_refusal_lasts_as_long_as_it_is_said_to(story: Story) -> None:
    """
    With its last moment.
    """
    story.refuses(1.5, 20, Refusal(code="ret=-2", message="rate limited"), chat="ann")
    story.sends(2, "ann", "hello")

    played = story.run()

    refused = [step.at for step in played.happened if step.name == "PartRefused"]
    taken = [step.at for step in played.happened if step.name == "PartAccepted"]
    assert refused
    assert taken[0] - played.happened[0].at > 20 * SECONDS
    assert played.outcome.delivered == 1


def test_one_chat_that_is_refused_delays_no_other(story: Story) -> None:
    """
    The machines are those of the gateway, with all that they promise.
    """
    story.hears(1, "bob")
    story.refuses(0, FOR_EVER, Refusal(code="ret=-2"), chat="ann")
    story.sends(2, "ann", "hello")
    story.sends(3, "bob", "hello")

    played = story.run()

    delivered = [step.address for step in played.happened if step.target == "delivered"]
    assert delivered == ["delivery/wx/d2"]


def test_an_answer_that_is_lost_is_sent_once_more(story: Story) -> None:
    """
    And said to be doubled.
    """
    story.refuses(1.5, 3, Unclear(error="receive: cut off"), chat="ann")
    story.sends(2, "ann", "hello")

    assert story.run().outcome.doubled == 1


def test_an_outage_is_waited_out(story: Story) -> None:
    """
    What is sent meanwhile leaves afterwards.
    """
    story.is_away(5, 65, Failure(stage="connect", error="refused"))
    story.sends(10, "ann", "hello")

    played = story.run()

    assert played.outcome.down > 60 * SECONDS
    assert [incident.kind for incident in played.incidents()] == ["outage"]


def test_settings_are_those_of_the_configuration_file(story: Story) -> None:
    """
    And changed by its keys.
    """
    for at in range(2, 8):
        story.sends(at, "ann", "hello")
    played = story.run({"window.messages": "3"})

    assert (played.outcome.delivered, played.outcome.waiting) == (3, 3)
    with pytest.raises(ConfigError, match=r"accounts\.wx\.window\.massages"):
        story.run({"window.massages": "3"})


def test_a_process_that_is_gone_takes_up_nothing_until_the_next() -> None:
    """
    What it left is taken up by the one after it.
    """
    story = Story("wx", "weixin")
    story.starts(0)
    story.hears(1, "ann")
    story.refuses(0, 30, None, chat="ann")
    story.sends(2, "ann", "hello")
    story.starts(60, offline=20)

    played = story.run()

    broken = [step.event.how for step in played.happened if step.name == "Broken"]
    assert broken == ["interrupted"]
    assert played.outcome.delivered == 1


def test_a_handler_fails_as_often_as_it_is_said_to(story: Story) -> None:
    """
    Then the message is handled.
    """
    story.hears(5, "bob", "boom", id="m9")
    story.handling_fails("m9", "ValueError: no", "ValueError: no")

    played = story.run()

    assert [step.name for step in played.happened if step.address == "inbound/wx/m9"].count("HandlerFailed") == 2


def test_a_session_that_falls_silent_is_noticed_and_resumed() -> None:
    """
    Nothing but what is received is proof of life.
    """
    story = Story("qq", "qqbot")
    story.starts(0)
    story.falls_silent(100, 200)

    played = story.run()

    assert "zombie" in [incident.kind for incident in played.incidents()]
    assert [step.event.resumed for step in played.happened if step.name == "Welcomed"][:2] == [False, True]


def test_a_socket_that_ends_is_opened_again() -> None:
    """
    With the session there was.
    """
    story = Story("qq", "qqbot")
    story.starts(0)
    story.brings(50, Ended(code="4009", error="the connection has had its time", then="resume"))

    played = story.run()

    assert [step.event.resumed for step in played.happened if step.name == "Welcomed"] == [False, True]


def test_the_same_story_is_lived_through_in_the_same_way(story: Story) -> None:
    """
    Chance follows from the story.
    """
    story.refuses(1.5, 60, Refusal(code="ret=-2"))
    story.sends(2, "ann", "hello")

    assert story.run().happened == story.run().happened
