"""The template editor: boxes drawn on a page become the YAML that the commands use."""
