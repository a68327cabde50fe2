"""One conversation at a time: template, tokens, checkpoints and history around the engine."""
