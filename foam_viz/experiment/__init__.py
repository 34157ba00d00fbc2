"""An experiment as configuration: its links, presets, costs, and forms to take away. Imports no torch."""
