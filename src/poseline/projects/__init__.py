"""Projects of their own, outside the source tree: how one is made, which code it runs, and how it moves to a new version of the package."""
