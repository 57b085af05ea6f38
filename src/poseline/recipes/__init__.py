"""Published training recipes as files, a recipe each: what they set, where that stands, and which AP their source published."""
