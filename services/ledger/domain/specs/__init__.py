"""The parts of the ledger's app file, area by area: what a document may say, before it is compiled."""
