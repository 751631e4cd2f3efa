"""Programs that make the same import, each in a process of its own. They take the settings that segsync takes."""
