"""What is installed: built-in parts and plugins, validated."""
