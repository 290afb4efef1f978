"""Why things are as they are: what events say of an account's lots, debts and balances, and of a charge."""
