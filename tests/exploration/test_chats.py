"""The shipped machines, composed."""

import attrs
import pytest

from statecore.exploration import explore
from statecore.exploration.bench import NOT_FORGOTTEN, ONE_PROBE
from statecore.exploration.chats import DOUBLED, ChatsModel
from statecore.exploration.engine import Exploration
from statecore.exploration.promises import SETTLES, liveness, safety
from statecore.exploration.scene import Act, Scene
from statecore.exploration.scenes import NONE, SCENES, lossy
from tests.exploration import mistakes


def explored(scene: Scene, *, live: bool = False) -> tuple[ChatsModel, Exploration[int, Act]]:
    model = ChatsModel(scene)
    asked = (*safety(model), *(liveness(model) if live else ()))
    return model, explore(model, properties=asked, states_max=300_000)


def acts(found: Exploration[int, Act], name: str) -> list[str]:
    return [str(step.action) for step in found.verdict(name).path[1:]]


def test_two_chats_over_a_lossy_channel_keep_every_promise() -> None:
    _, found = explored(lossy(chats=2, deliveries=2, crashes=0))

    assert found.complete
    assert found.answer == "proved", [one for one in found.verdicts if one.answer != "proved"]
    assert found.states > 10_000


def test_a_message_outlives_a_crash_between_any_two_steps_and_settles() -> None:
    scene = lossy(chats=1, deliveries=2, crashes=1)
    model, found = explored(attrs.evolve(scene, budgets=scene.budgets._replace(writes=2)), live=True)

    assert found.answer == "proved", [one for one in found.verdicts if one.answer != "proved"]
    assert {"sending-bare", "sending", "unknown", "dead", "delivered", "window-closed"} <= model.reached()["delivery"]


@pytest.mark.parametrize("name", ["refused", "tie", "parts", "people"])
def test_every_promise_is_kept_in_the_scene(name: str) -> None:
    _, found = explored(SCENES[name], live=name != "refused")

    assert found.answer == "proved", [one for one in found.verdicts if one.answer != "proved"]


def test_each_fault_that_is_allowed_really_happens() -> None:
    _, found = explored(lossy(chats=1, deliveries=1))

    assert acts(found, "there are crashes")[-1] == "the process ends"
    assert "lost" in acts(found, "there are losses")[-1]


def test_what_happens_to_the_account_changes_nothing_that_a_chat_knows_of_its_own_token() -> None:
    """What decisions see of other chats is little. What they do not see must stay as it is."""
    model = ChatsModel(lossy(chats=2, deliveries=2, crashes=0))
    (state,) = model.initial()
    way = [
        "message 1 of chat 1 is accepted",
        "the user of chat 1 writes",
        "chat 1 has its turn",
        "message 1 of chat 2 is accepted",
        "chat 2 has its turn",
        "the answer to message 1 of chat 2: lost with others unanswered",
    ]
    for step in way:
        state = next(after for act, after in model.actions(state) if str(act) == step)
    elapses = "a timer of the account's circuit elapses: probe_at"

    after = next(after for act, after in model.actions(state) if str(act) == elapses)

    assert model.shared(after) != model.shared(state)
    assert model.chat(after, 0) == model.chat(state, 0)


def test_two_chats_that_are_alike_are_told_apart_by_nobody() -> None:
    """What is found of one is found of the other, with the numbers exchanged."""
    model, found = explored(lossy(chats=2, deliveries=2, crashes=0, losses=1))

    assert found.complete
    assert len(model.chats(0)) == 2
    first, second = ({chat.nets for chat in numbers.values} for numbers in model._chats)
    assert first == second


# ---- mistakes that were made -----------------------------------------------------------------------------------------


def test_a_request_repeated_without_a_word_is_found_by_a_shortest_path() -> None:
    scene = attrs.evolve(lossy(chats=1, deliveries=1, crashes=0), account=mistakes.ForgetsToMark)

    _, found = explored(scene)

    assert found.verdict(DOUBLED).answer == "refuted"
    assert acts(found, DOUBLED) == [
        "message 1 of chat 1 is accepted",
        "chat 1 has its turn",
        "the request of message 1 of chat 1 arrives: taken",
        "the answer to message 1 of chat 1: lost",
        "a timer of message 1 of chat 1 elapses: resend_at",
        "chat 1 has its turn",
        "the request of message 1 of chat 1 arrives: taken",
    ]


def test_a_table_that_takes_an_interruption_for_not_sent_is_found() -> None:
    scene = attrs.evolve(
        lossy(chats=1, deliveries=1, crashes=1, losses=0),
        machines=mistakes.with_machine(mistakes.takes_an_interruption_for_not_sent()),
    )

    _, found = explored(scene)

    assert found.verdict(DOUBLED).answer == "refuted"
    assert acts(found, DOUBLED)[2:5] == [
        "the request of message 1 of chat 1 arrives: taken",
        "the process ends",
        "a process takes the account",
    ]


def test_a_circuit_that_lets_every_probe_through_is_found() -> None:
    budgets = NONE._replace(refusals=1)
    scene = Scene(
        deliveries=(1, 1), budgets=budgets, readings=("account",), idles=False, account=mistakes.AdmitsEveryProbe
    )

    _, found = explored(scene)

    assert found.verdict(ONE_PROBE).answer == "refuted"
    assert acts(found, ONE_PROBE)[-1].endswith("has its turn")


def test_a_chat_whose_turn_is_forgotten_is_found() -> None:
    scene = attrs.evolve(lossy(chats=1, deliveries=1, crashes=0), account=mistakes.ForgetsWhoWaits)

    _, found = explored(scene)

    assert found.verdict(NOT_FORGOTTEN).answer == "refuted"


def test_a_platform_that_never_answers_leaves_nothing_unsettled() -> None:
    scene = lossy(chats=1, deliveries=1, crashes=0)
    _, found = explored(attrs.evolve(scene, budgets=scene.budgets._replace(writes=1)), live=True)

    assert found.verdict(SETTLES).answer == "proved"
