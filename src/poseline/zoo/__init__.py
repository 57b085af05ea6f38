"""Published networks: one adapter a project (names, presets, licence, published metrics), and their weights under our names."""
