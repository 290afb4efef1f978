"""What things cost: rate cards, the exact arithmetic over them, and the price book that they come from. Pure.

Prices are decimal strings of credits and counts are exact too; nothing here is a float. The cost of an operation is
added up exactly, marked up, raised to its minimum and rounded up, once, to the scale of its asset.
"""
