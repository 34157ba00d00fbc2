"""Streamlit widgets shared by the pages, and the browser component that draws the panels."""
