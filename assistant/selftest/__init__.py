"""`assistant selftest`: proves on this machine that the assistant works without a network and calls nobody."""
