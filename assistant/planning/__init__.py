"""What this machine offers the solver, what it is predicted to cost, and how far predictions are off."""
