"""Exploring small models of which the answers are known."""

from collections.abc import Iterable, Mapping, Sequence

from statecore.exploration import always, eventually, explore, happens, never_stuck, sometimes
from statecore.exploration.properties import Fairness, Property


class Graph:
    """A model written down: what may happen in each state."""

    def __init__(self, steps: Mapping[int, Sequence[tuple[str, int]]], begins: Sequence[int] = (0,)) -> None:
        self._steps = steps
        self._begins = begins

    def initial(self) -> Iterable[int]:
        return self._begins

    def actions(self, state: int) -> Iterable[tuple[str, int]]:
        return self._steps.get(state, ())


class Counter:
    """A model without an end."""

    def initial(self) -> Iterable[int]:
        return (0,)

    def actions(self, state: int) -> Iterable[tuple[str, int]]:
        return (("up", state + 1),)


class Dice(Graph):
    """Two dice that nobody tells apart."""

    def __init__(self) -> None:
        super().__init__({})

    def actions(self, state: int) -> Iterable[tuple[str, int]]:
        one, other = divmod(state, 10)
        found = []
        if one < 3:
            found.append(("one", (one + 1) * 10 + other))
        if other < 3:
            found.append(("other", one * 10 + other + 1))
        return found


class AlikeDice(Dice):
    """The same, with one state for both ways round."""

    def canonical(self, state: int) -> int:
        one, other = sorted(divmod(state, 10))
        return one * 10 + other


class Bounded(Counter):
    """A counter that is followed up to three."""

    def cut(self, state: int) -> str:
        return "counting ends at three" if state == 3 else ""


LIVELOCK = Graph({0: [("go", 1)], 1: [("back", 0), ("leave", 2)]})


def fair(answer: Fairness) -> Fairness:
    return answer


def test_what_always_holds_is_proved_with_the_size_of_what_was_explored() -> None:
    found = explore(LIVELOCK, properties=[always("small", lambda state: state < 3)])

    assert found.verdict("small").answer == "proved"
    assert found.verdict("small").reason == "holds in all 3 states and 3 transitions"
    assert found.complete


def test_a_counterexample_is_a_shortest_path() -> None:
    long_way = {0: [("a", 1), ("b", 2)], 1: [("c", 9)], 2: [("d", 3)], 3: [("e", 9)]}

    found = explore(Graph(long_way), properties=[always("never nine", lambda state: state != 9)])

    verdict = found.verdict("never nine")
    assert verdict.answer == "refuted"
    assert [step.action for step in verdict.path] == [None, "a", "c"]
    assert [step.state for step in verdict.path] == [0, 1, 9]


def test_what_never_happens_is_no_empty_green() -> None:
    asked: list[Property] = [
        sometimes("seven", lambda state: state == 7),
        happens("jump", lambda action: action == "jump"),
    ]

    found = explore(LIVELOCK, properties=asked)

    assert [verdict.answer for verdict in found.verdicts] == ["refuted", "refuted"]


def test_what_happens_sometimes_comes_with_an_example() -> None:
    asked: list[Property] = [
        sometimes("two", lambda state: state == 2),
        happens("back", lambda action: action == "back"),
    ]

    found = explore(LIVELOCK, properties=asked)

    assert [verdict.answer for verdict in found.verdicts] == ["proved", "proved"]
    assert [step.action for step in found.verdict("back").path] == [None, "go", "back"]


def test_nothing_asked_proves_nothing() -> None:
    assert explore(LIVELOCK).answer == "inconclusive"
    assert explore(Graph({}, ()), properties=[always("all", lambda _: True)]).answer == "inconclusive"


def test_a_limit_leaves_what_was_not_refuted_inconclusive() -> None:
    found = explore(Counter(), properties=[always("small", lambda state: state < 1000)], states_max=50)

    assert found.verdict("small").answer == "inconclusive"
    assert "the limit of 50 states was reached" in found.verdict("small").reason


def test_what_lies_before_a_limit_is_refuted_all_the_same() -> None:
    found = explore(Counter(), properties=[always("small", lambda state: state < 10)], states_max=50)

    assert found.verdict("small").answer == "refuted"


def test_whoever_watches_can_stop_it() -> None:
    found = explore(Counter(), properties=[always("all", lambda _: True)], watch=lambda states: states < 20)

    assert found.verdict("all").answer == "inconclusive"
    assert "stopped" in found.verdict("all").reason


def test_a_model_that_does_not_go_on_somewhere_is_bounded() -> None:
    found = explore(Bounded(), properties=[always("small", lambda state: state < 9)])

    assert found.verdict("small").answer == "inconclusive"
    assert "counting ends at three" in found.verdict("small").reason


def test_states_that_differ_by_symmetry_are_explored_once() -> None:
    assert explore(Dice(), properties=[always("all", lambda _: True)]).states == 16
    assert explore(AlikeDice(), properties=[always("all", lambda _: True)]).states == 10


def test_where_nothing_can_happen_is_told() -> None:
    asked = [never_stuck("goes on"), never_stuck("ends at two", lambda state: state == 2)]

    found = explore(LIVELOCK, properties=asked)

    assert found.verdict("goes on").answer == "refuted"
    assert found.verdict("ends at two").answer == "proved"


# ---- liveness --------------------------------------------------------------------------------------------------------


def test_a_livelock_of_two_states_is_found_with_what_repeats() -> None:
    found = explore(LIVELOCK, properties=[eventually("out", lambda state: state == 2)])

    verdict = found.verdict("out")
    assert verdict.answer == "refuted"
    assert verdict.loop == 0
    assert [step.action for step in verdict.path] == [None, "go", "back"]


def test_a_livelock_ends_if_what_is_possible_again_and_again_happens() -> None:
    asked = eventually(
        "out", lambda state: state == 2, fair=lambda action: fair("strong" if action == "leave" else "weak")
    )

    assert explore(LIVELOCK, properties=[asked]).answer == "proved"


def test_what_stays_possible_happens() -> None:
    waiting = Graph({0: [("tick", 0), ("leave", 1)]})

    assert explore(waiting, properties=[eventually("out", lambda state: state == 1)]).answer == "proved"


def test_a_path_may_end_where_only_what_nobody_relies_on_can_happen() -> None:
    asked = eventually("out", lambda state: state == 1, fair=lambda _: fair("none"))

    verdict = explore(Graph({0: [("fault", 1)]}), properties=[asked]).verdict("out")

    assert verdict.answer == "refuted"
    assert verdict.loop is None


def test_what_must_follow_is_asked_from_where_it_begins() -> None:
    steps = {0: [("ask", 1), ("idle", 0)], 1: [("answer", 2)], 2: []}
    asked = eventually("answered", lambda state: state == 2, after=lambda state: state == 1)

    assert explore(Graph(steps), properties=[asked]).answer == "proved"
    never = eventually("answered", lambda state: state == 2, after=lambda state: state == 7)
    assert explore(Graph(steps), properties=[never]).answer == "inconclusive"


def test_strong_fairness_leaves_a_smaller_circle_that_avoids_what_is_owed() -> None:
    steps = {0: [("a", 1), ("b", 2)], 1: [("c", 0), ("leave", 3)], 2: [("d", 0)], 3: []}
    asked = eventually(
        "out", lambda state: state == 3, fair=lambda action: fair("strong" if action == "leave" else "none")
    )

    verdict = explore(Graph(steps), properties=[asked]).verdict("out")

    assert verdict.answer == "refuted"
    assert 1 not in {step.state for step in verdict.path}
