"""The nouns of few-shot learning as this project uses them, and what a plugin may offer. A file a noun."""
