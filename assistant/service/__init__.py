"""`assistant service`: the systemd units of this program, put in place and looked after."""
