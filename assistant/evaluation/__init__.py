"""What a model is worth: the probe battery, feelings, perplexity and tone, measured over any backend."""
