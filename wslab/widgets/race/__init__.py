"""A race of five ways from a server to a page, counted on the tape."""
