"""Proving the books: the log against itself, against its anchors, and against every table projected from it."""
