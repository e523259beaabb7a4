"""The checks of the lessons, a file for each."""
