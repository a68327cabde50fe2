"""What a message sounds like: a read-out of the model's state, and a lexicon where none fits."""
