"""The process that trains: its loop, the groups of lanes, and what saves them."""
