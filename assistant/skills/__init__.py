"""What code answers and the model need not: exact, offline, found by strict grammars."""
