"""One file a format of a program."""
