"""The commands, one a file. Nothing heavy is imported before a command runs."""
