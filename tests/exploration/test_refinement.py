"""The composed model does what the account does: whatever a real account decides, the model can follow."""

import attrs
import pytest

from statecore.exploration.scene import Scene
from statecore.exploration.scenes import NONE, SCENES, lossy
from tests.exploration.follow import Follower

EVERYTHING = lossy(crashes=2)
REFUSED = attrs.evolve(
    SCENES["refused"],
    deliveries=(2, 1),
    budgets=NONE._replace(refusals=4, losses=2, crashes=1, writes=5),
    readings=("circuit", "account", "window", "bare", "credentials", "dead"),
)
TIE = attrs.evolve(SCENES["tie"], budgets=NONE._replace(outages=4, crashes=1, stops=1, losses=2), expiring=frozenset())


@pytest.mark.parametrize(
    ("scene", "steps"), [(EVERYTHING, 60), (REFUSED, 60), (TIE, 60)], ids=["lossy", "refused", "tie"]
)
def test_whatever_a_real_account_decides_the_model_can_follow(scene: Scene, steps: int) -> None:
    met: set[str] = set()
    for seed in range(12):
        follower = Follower(scene, seed)
        for _ in range(steps):
            follower.step()
        met |= follower.met

    assert {"turn", "arrive", "answer", "crash", "start", "write", "elapse"} <= met
