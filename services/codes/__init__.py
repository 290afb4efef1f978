"""Codes: recharge, welcome, bonus, discount and gift codes, and who redeemed them."""
