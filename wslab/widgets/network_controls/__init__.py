"""Sliders and a cable to cut, a connection each."""
