"""Published networks: names, presets, figures, and their weights under our names."""
