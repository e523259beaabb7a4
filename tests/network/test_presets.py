"""Networks with a name."""

from __future__ import annotations

import pytest

from wslab.network.conditions import Conditions
from wslab.network.presets import PRESETS, preset_named


@pytest.mark.parametrize("name", PRESETS)
def test_every_one_is_what_conditions_take(name):
    preset = preset_named(name)
    for way in (preset.up, preset.down):
        Conditions(delay_s=way.delay_s, bytes_per_s=way.bytes_per_s, jitter_s=preset.jitter_s)


def test_who_misspells_one_hears_which_there_are():
    with pytest.raises(ValueError, match="expected one of '3g', .*, got 'satelite'; did you mean"):
        preset_named("satelite")
