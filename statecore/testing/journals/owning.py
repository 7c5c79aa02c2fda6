"""Who may write, what is taken once, what others ask for, and what is never shown."""

from typing import Any, Final

import pytest
import trio

from statecore.account import Command
from statecore.errors import Conflict, Fenced
from statecore.machines import delivery
from statecore.testing.journals.base import Base, Clock, Desk, Journal
from statecore.units import SECONDS

CANARY: Final = "canary-5c1e7-a-token-of-nobody"


class Owning(Base):
    """Checks of leases, keys, commands and secrets."""

    # ---- leases ------------------------------------------------------------------------------------------------------

    def test_a_former_owner_can_write_no_more(self) -> None:
        """
        It may have been frozen while another took over. What it decides then is refused, and changes nothing.
        """
        self.needs("leases", "several", "rows")

        async def main() -> None:
            async with self.open(place, Clock()) as ours, self.open(place, Clock()) as theirs:
                epoch, _ = await ours.take("wx", "boot-1", 1, "host")
                desk = Desk(ours)
                await desk.commit(desk.accepted())
                newer, _ = await theirs.take("wx", "boot-2", 2, "host")
                assert newer > epoch, f"the new owner has epoch {newer}, and the old one had {epoch}"
                with pytest.raises(Fenced) as refused:
                    await ours.append([desk.accepted()])
                assert (refused.value.account, refused.value.current) == ("wx", newer)
                assert len(self.rows(place)) == 1, "a former owner has written"
                desk = Desk(theirs, now=desk.now)
                desk.count = 50
                await desk.commit(desk.accepted())
                assert [row.epoch for row in self.rows(place)] == [epoch, newer], (
                    "rows do not say under which lease they are"
                )
                owner = theirs.owner("wx")
                assert owner is not None
                assert owner.epoch == newer, f"the owner is said to have epoch {owner.epoch}"

        with self.place() as place:
            trio.run(main)

    def test_who_took_nothing_writes_nothing_once_somebody_did(self) -> None:
        """
        Else an instance that was forgotten by its operator writes on beside the one that drives.
        """
        self.needs("leases", "several", "rows")

        async def main() -> None:
            async with self.open(place, Clock()) as ours, self.open(place, Clock()) as theirs:
                await theirs.take("wx", "boot-2", 2, "host")
                desk = Desk(ours)
                with pytest.raises(Fenced):
                    await ours.append([desk.accepted()])
                other = Desk(ours, "qq")
                assert await other.commit(other.accepted()) == 1, (
                    "the lease of one account stands in the way of another"
                )

        with self.place() as place:
            trio.run(main)

    def test_a_lease_taken_again_is_a_new_one(self) -> None:
        """
        A process may restart within a second, with work of its former self still under way.
        """
        self.needs("leases")

        async def check(_place: Any, journal: Journal) -> None:
            epochs = [(await journal.take("wx", f"boot-{number}", 1, "host"))[0] for number in range(4)]
            assert epochs == sorted(set(epochs)), f"epochs do not rise: {epochs}"
            desk = Desk(journal)
            await desk.commit(desk.accepted())

        self.run(check)

    def test_a_new_owner_learns_for_how_long_there_was_none(self) -> None:
        """
        What waited meanwhile is not held against it. The heartbeat of a former owner says nothing.
        """
        self.needs("leases")
        clock = Clock()

        async def main() -> None:
            async with self.open(place, clock) as journal:
                epoch, offline = await journal.take("wx", "boot-1", 1, "host")
                assert offline == 0, f"nobody ever drove it, and for {offline} ns there was no owner"
                clock.now += 10 * SECONDS
                await journal.beat({"wx": (epoch, "running")})
                clock.now += 60 * SECONDS
                await journal.beat({"wx": (epoch - 1, "running")})
                _, offline = await journal.take("wx", "boot-2", 1, "host")
                assert offline == 60 * SECONDS, (
                    f"there was no owner for a minute, and it is said {offline / SECONDS:g} s"
                )

        with self.place() as place:
            trio.run(main)

    # ---- keys --------------------------------------------------------------------------------------------------------

    def test_a_senders_key_is_taken_once(self) -> None:
        """
        Who sends again, because they did not hear "accepted", is told which delivery it is.
        """
        self.needs("keys", "rows")

        async def check(place: Any, journal: Journal) -> None:
            desk = Desk(journal)
            unit = desk.accepted(key="order 17")
            assert await desk.commit(unit) == 1
            again = Desk(journal, now=desk.now)
            again.count = 50
            twice = again.accepted(key="order 17")
            twice.secrets["cursor"] = "of a unit that is dropped"
            known = await again.commit(twice)
            assert getattr(known, "address", known) == unit.entries[0].address
            assert len(self.rows(place)) == 1, "a key was taken twice"
            assert journal.store.load(twice.entries[0].address) is None
            if "secrets" not in self.absent:
                assert journal.secrets("wx").get("cursor") is None, "a dropped unit left a secret"
            other = Desk(journal, "qq", desk.now)
            assert isinstance(await other.commit(other.accepted(key="order 17")), int), "accounts share their keys"

        self.run(check)

    def test_two_that_come_at_once_with_one_key_are_one(self) -> None:
        """
        Whichever was first.
        """
        self.needs("keys", "rows")

        async def check(place: Any, journal: Journal) -> None:
            ended: list[Any] = []

            async def send(number: int) -> None:
                desk = Desk(journal)
                desk.count = number
                ended.extend(await journal.append([desk.accepted(key="order 17")]))

            async with trio.open_nursery() as nursery:
                for number in range(8):
                    nursery.start_soon(send, number)
            (row,) = self.rows(place)
            assert sum(isinstance(one, int) for one in ended) == 1
            assert {one.address for one in ended if not isinstance(one, int)} == {row.address}

        self.run(check)

    # ---- commands ----------------------------------------------------------------------------------------------------

    def test_a_command_is_there_until_it_is_carried_out(self) -> None:
        """
        In the order in which they were asked for, whether or not anybody drives the account.
        """
        self.needs("commands", "rows")

        async def check(_place: Any, journal: Journal) -> None:
            asked = [
                (await journal.ask("wx", Command(id=0, kind="retry", target=f"delivery/wx/{number}")))[0]
                for number in range(4)
            ]
            assert asked == sorted(asked), f"commands are numbered {asked}"
            assert [command.id for command in journal.store.commands("wx")] == asked
            assert [command.target for command in journal.store.commands("wx")] == [
                f"delivery/wx/{n}" for n in range(4)
            ]
            assert journal.store.asked() == ["wx"]
            assert not journal.store.commands("qq"), "an account is given what was asked of another"
            desk = Desk(journal)
            unit = desk.accepted()
            unit.done.append(asked[1])
            await desk.commit(unit)
            await journal.finish(asked[2], "refused: it is too late")
            assert [command.id for command in journal.store.commands("wx")] == [asked[0], asked[3]]
            assert not journal.store.sends_wait("wx")

        self.run(check)

    def test_a_key_that_was_used_makes_no_new_command(self) -> None:
        """
        So every receipt names a delivery that is, or will be.
        """
        self.needs("commands", "keys")

        async def check(_place: Any, journal: Journal) -> None:
            send = Command(id=0, kind="send", target="chat", delivery="d1", text="hello", key="order 17")
            first = await journal.ask("wx", send)
            assert first[0] > 0
            assert first[1] == "d1"
            again = await journal.ask(
                "wx", Command(id=0, kind="send", target="chat", delivery="d2", text="x", key="order 17")
            )
            assert again[1] == "d1", f"the second command with a key is about {again[1]!r}"
            assert len(journal.store.commands("wx")) == 1
            assert journal.store.sends_wait("wx")
            (command,) = journal.store.commands("wx")
            assert (command.text, command.key, command.delivery) == ("hello", "order 17", "d1")

        self.run(check)

    def test_a_dropped_unit_carries_out_its_command_all_the_same(self) -> None:
        """
        Else it is met again with every look, for ever.
        """
        self.needs("commands", "keys")

        async def check(_place: Any, journal: Journal) -> None:
            desk = Desk(journal)
            await desk.commit(desk.accepted(key="order 17"))
            number, _ = await journal.ask("wx", Command(id=0, kind="retry"))
            again = Desk(journal, now=desk.now)
            again.count = 50
            unit = again.accepted(key="order 17")
            unit.done.append(number)
            await again.commit(unit)
            assert not journal.store.commands("wx")

        self.run(check)

    def test_others_notice_that_something_was_written(self) -> None:
        """
        A gateway looks for commands when somebody else has written, and not all the time.
        """
        self.needs("commands", "several")

        async def main() -> None:
            async with self.open(place, Clock()) as ours, self.open(place, Clock()) as theirs:
                ours.store.changed()
                assert not ours.store.changed(), "nobody has written, and it is said that somebody did"
                await theirs.ask("wx", Command(id=0, kind="resume"))
                assert ours.store.changed(), "somebody else has written, and nothing tells"

        with self.place() as place:
            trio.run(main)

    # ---- secrets -----------------------------------------------------------------------------------------------------

    def test_secrets_are_apart_and_never_shown(self) -> None:
        """
        Rows, projections and exports are sent to others for help.
        """
        self.needs("secrets")

        async def check(place: Any, journal: Journal) -> None:
            desk = Desk(journal)
            await desk.day()
            unit = desk.accepted()
            unit.secrets["token/chat"] = CANARY
            await desk.commit(unit)
            assert CANARY not in repr(unit)
            assert journal.secrets("wx").get("token/chat") == CANARY
            assert journal.secrets("qq").get("token/chat") is None, "accounts share their secrets"
            shown = self.shown(place)
            assert unit.entries[0].address in shown, "what is shown is not all of it, so nothing can be found there"
            assert CANARY not in shown, "a secret stands outside its own place"

        self.run(check)

    def test_secrets_come_with_what_they_belong_to_and_can_be_forgotten(self) -> None:
        """
        A cursor without the messages that it covers would skip them; a new login must not use an old token.
        """
        self.needs("secrets", "rows")

        async def check(place: Any, journal: Journal) -> None:
            desk, secrets = Desk(journal), journal.secrets("wx")
            for number in range(4):
                unit = desk.received()
                unit.secrets.update({"cursor": str(number), "token/a": CANARY})
                await desk.commit(unit)
                assert secrets.get("cursor") == str(number)
            if "conflicts" not in self.absent:
                nowhere = desk.accepted().entries[0].address  # decided, and never appended
                stale = desk.unit((nowhere, delivery.Purged()))
                stale.secrets["cursor"] = "99"
                with pytest.raises(Conflict):
                    await journal.append([stale])
                assert secrets.get("cursor") == "3", "the cursor moved, and what it covers was refused"
            unit = desk.unit()
            unit.secrets["token/a"] = None
            await journal.append([unit])
            assert secrets.get("token/a") is None
            unit = desk.unit()
            unit.forget = True
            unit.secrets["cursor"] = "new"
            await journal.append([unit])
            assert secrets.get("cursor") == "new"
            assert len(self.rows(place)) == 8, "a message came with its window, four times"

        self.run(check)
