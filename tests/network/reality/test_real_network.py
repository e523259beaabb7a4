"""What the real network says, and that the rig which asks it leaves nothing on the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.network.reality import namespaces
from tests.network.reality.lines import RealLine
from tests.network.reality.namespaces import Namespace, VethLink
from tests.network.reality.player import Player
from tests.network.reality.reports import read
from tests.network.reality.scenes import SCENES, Scene
from tests.network.reality.tun_link import TunLink


@pytest.fixture(autouse=True)
def _needs_namespaces() -> None:
    namespaces.need()


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_the_real_network_says_what_we_have_written_down(scene: Scene):
    kinds = [VethLink, TunLink] if scene.needs == "cut" else [TunLink]
    for kind in kinds:
        player = Player(RealLine(kind))
        assert player.play(scene) == read()[scene.name]
        assert player.took_s >= scene.at_least_s


@pytest.mark.parametrize("name", ["cut and restored", "the client closes while cut"])
def test_the_real_network_says_the_same_over_tls(name: str):
    [scene] = (scene for scene in SCENES if scene.name == name)
    assert Player(RealLine(TunLink, tls=True)).play(scene) == read()[name]


def test_nothing_of_it_is_on_the_machine():
    before = Path("/proc/net/dev").read_text().count(":")
    for kind in (VethLink, TunLink):
        line = RealLine(kind)
        try:
            assert Path("/proc/net/dev").read_text().count(":") == before
        finally:
            line.close()


def test_a_failure_while_a_link_is_made_leaves_nothing():
    with Namespace() as client:
        with Namespace() as server:
            gone = server.path
        with pytest.raises(OSError, match="eth0"):
            VethLink(client, server)
        assert not Path(gone).exists()
        links = client.run("ip -o link")
    assert links.count("\n") == 1, links  # its own loopback
