"""The board: every panel of a page in one component of the browser."""
