"""What is done about referrals, one transaction each."""
