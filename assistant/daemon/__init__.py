"""The background process: loads the model once and serves it over a unix socket."""
