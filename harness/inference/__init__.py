"""Trained stages used on new images: their features, and their classes from a few examples."""
