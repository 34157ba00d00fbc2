"""What a text of one's own must be for a character model to train on it. No torch."""

from __future__ import annotations

from foam_viz.optim.fields import FieldError

HELD_OUT_SHARE = 0.1
"""Of a user's text, at its end."""
MAXIMUM_CHARACTERS = 512
LEAST_CONTEXT = 8


def require_enough(path: str, written: str, context: int) -> None:
    """Refuse a text that is too short for windows of a context, or that is written in no alphabet.

    Raises:
        FieldError: It is one of these; ``text`` is blamed.
    """
    needed = int(2 * (context + 1) / HELD_OUT_SHARE)
    if len(written) < needed:
        words = f"a text of at least {needed} characters for this context, this one has {len(written)}"
        raise FieldError("text", path, f"{words}: take a longer text or a smaller context")
    different = len(set(written))
    if not 2 <= different <= MAXIMUM_CHARACTERS:
        words = f"a text of 2 to {MAXIMUM_CHARACTERS} different characters, this one has {different}"
        raise FieldError("text", path, f"{words}: take a text in an alphabet")
