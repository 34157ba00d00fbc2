"""Text, tables, JSON and binary records to values; knows no format of a program."""
