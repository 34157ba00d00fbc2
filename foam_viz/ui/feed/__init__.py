"""The feed: one way from any run to the screen, served beside Streamlit. See docs/feed.md."""
