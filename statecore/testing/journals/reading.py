"""The projection: what an account reads while deciding."""

from typing import Any, Final

import trio
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st

from statecore import codec
from statecore.machines import inbound
from statecore.testing.journals.base import ACCOUNT, Base, Clock, Desk, Journal, fold, stands
from statecore.units import SECONDS

CHATS: Final = ("ann", "bob", "a/b")
HISTORIES: Final = st.lists(
    st.one_of(
        st.tuples(
            st.just("send"),
            st.sampled_from(CHATS),
            st.sampled_from(("queued", "sending", "delivered", "backing-off", "dead", "purged")),
        ),
        st.tuples(
            st.just("receive"), st.sampled_from(CHATS), st.sampled_from(("waiting", "handling", "done", "quarantined"))
        ),
    ),
    max_size=12,
)


class Reading(Base):
    """Checks of the projection."""

    runs = how(max_examples=15, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))

    def test_the_projection_is_where_the_machines_are(self) -> None:
        """
        After any history: it is written with the rows, and is what their fold would be.
        """

        @self.runs
        @given(HISTORIES)
        def holds(history: list[tuple[str, str, str]]) -> None:
            async def check(place: Any, journal: Journal) -> None:
                desk = Desk(journal)
                for verb, chat, until in history:
                    await getattr(desk, verb)(chat, until)
                stands(journal.store, {address: (held.snapshot, held.seq) for address, held in desk.held.items()})
                if "rows" not in self.absent:
                    stands(journal.store, fold(self.rows(place)))
                assert journal.store.load("delivery/wx/never") is None
                for address, held in desk.held.items():
                    stored = journal.store.load(address)
                    assert stored.address == address
                    assert stored.chat == held.chat, f"{address} belongs to {held.chat!r}, and not to {stored.chat!r}"

            self.run(check)

        holds()

    def test_lanes_are_in_the_order_of_acceptance(self) -> None:
        """
        In it messages leave. One that comes back from the dead goes to the end.
        """

        async def check(_place: Any, journal: Journal) -> None:
            from statecore.machines import delivery

            desk = Desk(journal)
            await desk.day(CHATS)
            dead = await desk.send("ann", "dead")
            await desk.send("ann", "queued")
            await desk.happen(dead, delivery.Revived())
            for machine in ("delivery", "inbound"):
                lanes: dict[str, list[tuple[int, str, str]]] = {}
                for address, held in desk.held.items():
                    if held.live and address.startswith(f"{machine}/"):
                        lanes.setdefault(held.chat, []).append((held.order, address, held.snapshot.state))
                heads = {chat: tuple(head) for chat, head in journal.store.heads(ACCOUNT, machine)}
                wanted = {chat: _head(min(lane)) for chat, lane in lanes.items()}
                assert heads == wanted, f"the lanes of {machine} begin with {heads}, and should with {wanted}"
                for chat, lane in lanes.items():
                    found, after = [], 0
                    while (head := journal.store.following(ACCOUNT, machine, chat, after)) is not None:
                        found.append(tuple(head))
                        after = head.order
                    assert found == [_head(one) for one in sorted(lane)], f"the lane of {chat!r} is {found}"

        self.run(check)

    def test_deadlines_come_in_order_and_none_is_left_out(self) -> None:
        """
        Whatever number is asked for at once. A timer that is left out never elapses.
        """

        async def check(_place: Any, journal: Journal) -> None:
            desk = Desk(journal)
            await desk.day(CHATS)
            began = desk.now
            for _ in range(4):
                desk.now = began  # so that they fall due at the very same moment
                await desk.send("bob", "backing-off")
            wanted = sorted((held.due, address) for address, held in desk.held.items() if held.due is not None)
            assert len({due for due, _ in wanted}) < len(wanted) - 2, (
                "no deadlines that fall together, so none can be torn"
            )
            for most in (1, 2, 3, 100, None):
                found: list[tuple[int, str]] = []
                after: int | None = -1
                while after is not None:
                    page, after = journal.store.due(ACCOUNT, after, most)
                    found += [tuple(one) for one in page]
                    assert len(found) <= len(wanted), f"deadlines come twice, {most} at a time"
                assert sorted(found) == wanted, (
                    f"asked for {most} at a time, {len(found)} of {len(wanted)} deadlines came"
                )
                assert [due for due, _ in found] == sorted(due for due, _ in found), "deadlines come out of order"

        self.run(check)

    def test_what_was_under_way_is_found_by_its_state(self) -> None:
        """
        A start asks for it, to say of each what is not known.
        """

        async def check(_place: Any, journal: Journal) -> None:
            desk = Desk(journal)
            await desk.day(CHATS)
            for machine, states in (
                ("delivery", ("sending",)),
                ("inbound", ("handling", "waiting")),
                ("window", ("none",)),
            ):
                wanted = sorted(
                    (held.seq, address)
                    for address, held in desk.held.items()
                    if address.startswith(f"{machine}/") and held.snapshot.state in states
                )
                found = journal.store.in_states(ACCOUNT, machine, states)
                assert found == [address for _, address in wanted], f"in {states} are {found}"

        self.run(check)

    def test_what_an_instance_began_with_can_be_read_again(self) -> None:
        """
        The text to send is in it.
        """

        async def check(_place: Any, journal: Journal) -> None:
            desk = Desk(journal)
            await desk.day(CHATS)
            for address, held in desk.held.items():
                if address.startswith(("delivery/", "inbound/")):
                    assert journal.store.first_event(address, type(held.first)) == held.first
            since = desk.now - 6 * SECONDS
            wanted = [
                (held.began, held.first)
                for held in desk.held.values()
                if isinstance(held.first, inbound.Received) and held.began >= since
            ]
            assert wanted, "nothing came in lately"
            assert list(journal.store.recently_received(ACCOUNT, since)) == wanted

        self.run(check)

    def test_accounts_do_not_see_each_other(self) -> None:
        """
        Many share a store; their names may begin alike.
        """
        self.needs("rows")

        async def main() -> None:
            async with self.open(place, Clock()) as journal:
                for account in ("wx", "wx2", "w"):
                    await Desk(journal, account).day(CHATS)
                for account in ("wx", "wx2", "w"):
                    due, _ = journal.store.due(account, -1, None)
                    found = {address for _, address in due}
                    found |= set(journal.store.in_states(account, "delivery", ("queued", "sending")))
                    found |= {head.address for _, head in journal.store.heads(account, "inbound")}
                    strangers = [address for address in found if address.split("/")[1] != account]
                    assert not strangers, f"{account!r} is given {strangers}"
                    assert len(journal.store.recently_received(account, 0)) == 2 * len(CHATS)

        with self.place() as place:
            trio.run(main)

    def test_what_is_remembered_is_read_as_it_was_written(self) -> None:
        """
        Any text: it is shown to people, and sent.
        """

        @self.runs
        @given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
        def holds(text: str) -> None:
            async def check(_place: Any, journal: Journal) -> None:
                desk = Desk(journal)
                unit = desk.accepted(chat=text, text=text)
                await desk.commit(unit)
                stored = journal.store.load(unit.entries[0].address)
                assert stored.chat == text
                wanted = unit.entries[0].decision.snapshot.data
                assert codec.loads(stored.data, type(wanted), schema=stored.schema) == wanted
                assert journal.store.first_event(stored.address, type(unit.entries[0].event)) == unit.entries[0].event

            self.run(check)

        holds()


def _head(one: tuple[int, str, str]) -> tuple[str, int, str]:
    order, address, state = one
    return address, order, state
