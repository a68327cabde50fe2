"""Model files and the store: readers that run no code, conversion, tokenizers and chat templates."""
