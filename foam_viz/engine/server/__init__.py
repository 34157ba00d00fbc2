"""What the server knows of the processes that train: the hub, its runs, their queue and history. Imports no torch."""
