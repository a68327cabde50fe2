"""The memory wall, shown: bytes per token, bandwidth, and what that allows on this host, on others and on chips."""
