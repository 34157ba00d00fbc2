"""From what a person gives to plain files, read in a process under limits."""
