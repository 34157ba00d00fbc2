"""What a link asked for and could not have, said once and in few lines however much it is."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from foam_viz.optim.fields import FieldError
from foam_viz.ui.text import plain

SHOWN = 10
# True of each kind of refusal: a value out of range, an unknown setting, an optimizer too many.
_REMEDY = "Settings without a usable value have their defaults."


def refusals(errors: Sequence[FieldError]) -> None:
    """Draw one warning: the first ten, and how many more there are."""
    if not errors:
        return
    lines = [plain(error) for error in errors[:SHOWN]]
    if len(errors) > SHOWN:
        lines.append(f"and {len(errors) - SHOWN:,} more")
    if len(lines) == 1:
        words = f"Not taken from the link: {lines[0]}. {_REMEDY}"
    else:
        words = f"Not taken from the link. {_REMEDY}\n\n" + "\n".join(f"- {line}" for line in lines)
    st.warning(words, icon=":material/link_off:")
