"""The slider: what the page says is held to its ends, and what is no number changes nothing."""

from __future__ import annotations

import math

import pytest

from wslab.widgets import SecondsSlider


@pytest.fixture
def slider():
    slider = SecondsSlider("time.sleep")
    yield slider
    slider.close()


@pytest.mark.parametrize(
    ("sent", "stands"),
    [
        (1.5, 1.5),
        (1, 1.0),
        (1.6, 1.5),
        (0, 0.5),
        (-3, 0.5),
        (1e300, 4.0),
        (10**400, 4.0),
        (4.2, 4.0),
    ],
)
def test_it_stands_where_the_page_has_put_it(slider, sent, stands):
    slider._take(slider, {"value_s": sent}, [])
    assert slider.value_s == stands
    assert str(slider) == f"time.sleep: {stands:g} s, from 0.5 to 4 s"


@pytest.mark.parametrize("content", [{}, {"value_s": "2"}, [], 3])
def test_what_is_no_number_changes_nothing(slider, content):
    slider._take(slider, content, [])
    assert slider.value_s == 2.0


@pytest.mark.parametrize("value", [True, math.nan, math.inf, None, [1]])
def test_nor_does_what_only_looks_like_one(slider, value):
    slider._take(slider, {"value_s": value}, [])
    assert slider.value_s == 2.0


def test_the_next_cell_may_set_it_too(slider):
    slider.value_s = 3
    assert slider.value_s == 3.0


def test_a_page_without_widgets_gets_its_place_and_its_name():
    slider = SecondsSlider("a < b")
    data, _ = slider._repr_mimebundle_()
    assert data["text/plain"] == "a < b: 2 s, from 0.5 to 4 s"
    assert "a &lt; b: 2 s" in data["text/html"]
    slider.close()


@pytest.mark.parametrize(
    "how", [{"value_s": 9}, {"min_s": -1}, {"min_s": 4, "max_s": 4}, {"max_s": math.inf}]
)
def test_what_is_no_range_is_refused(how):
    with pytest.raises(ValueError, match="expected"):
        SecondsSlider("time.sleep", **how)
