"""The page: `build_app` makes it; what needs no browser (`session`, `live`) imports no gradio."""
