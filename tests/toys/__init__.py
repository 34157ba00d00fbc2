"""A toy of each kind that may be added: one file and one entry of a catalogue. CONTRIBUTING.md points here."""
