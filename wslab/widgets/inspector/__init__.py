"""The Inspector: a tape, frame by frame."""
