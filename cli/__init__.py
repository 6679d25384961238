"""The `pocketzoo` command: thin, one file per command."""
