"""Sheets of cards with codes, to print and cut."""
