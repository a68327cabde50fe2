"""`assistant cim`: questions to the simulated chips. The one room of the assistant that may import `backends.cim`."""
