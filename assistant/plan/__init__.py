"""`assistant plan` and `assistant bench`: choices and measurements of this machine, in the terminal."""
