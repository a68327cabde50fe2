"""One widget per file; each says in `HELP` what it shows and which keys it takes."""
