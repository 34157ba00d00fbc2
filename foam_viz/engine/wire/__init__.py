"""What server and engine say to each other: one frozen dataclass a command. Imports no torch."""
