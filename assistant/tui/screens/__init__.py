"""What fills the terminal: the chat, and what is laid over it."""
