"""Referrals: who came by whom, whether that may count, and what it earns; rules without input or output."""
