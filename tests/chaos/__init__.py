"""Trials of the ledger as real processes: killed, stopped, cut off and handed over under load, judged afterwards."""
