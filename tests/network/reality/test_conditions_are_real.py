"""Conditions show what the real network has shown: the same events, codes and order at both ends.

Times are compared in one way only: nothing comes before a delay or a rate lets it. How much later
it comes is the machine's business, and TCP's, which waits longer each time before it sends again.
"""

from __future__ import annotations

import pytest

from tests.network.reality.lines import our_lines
from tests.network.reality.player import Player
from tests.network.reality.reports import read
from tests.network.reality.scenes import SCENES, Scene


def played(where: str) -> list[object]:
    return [
        pytest.param(scene, name, id=f"{scene.name}, {name}")
        for scene in SCENES
        for name in our_lines(scene)
        if name.startswith(where)
    ]


@pytest.mark.usefixtures("lab_loop")
@pytest.mark.parametrize(("scene", "name"), played("TCP"))
def test_conditions_over_tcp_say_what_the_real_network_has_said(scene: Scene, name: str):
    _play(scene, name)


@pytest.mark.parametrize(("scene", "name"), played("TLS"))
def test_conditions_over_tls_say_what_the_real_network_has_said(scene: Scene, name: str):
    _play(scene, name)


@pytest.mark.parametrize(("scene", "name"), played("memory"))
def test_conditions_in_memory_say_what_the_real_network_has_said(scene: Scene, name: str):
    _play(scene, name)


def _play(scene: Scene, name: str) -> None:
    player = Player(our_lines(scene)[name]())
    assert player.play(scene) == read()[scene.name]
    assert player.took_s >= scene.at_least_s


def test_each_scene_has_been_played_on_the_real_network():
    assert {scene.name: [step.words for step in scene.steps] for scene in SCENES} == {
        name: [words for words, _, _ in report] for name, report in read().items()
    }
