"""A class: what a presenter shows, who follows, what they predicted and found. In memory only; see docs/class.md."""
