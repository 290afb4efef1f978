"""Known ways to get a ledger wrong, put into the product while it is loaded, to see that the tests notice each."""
