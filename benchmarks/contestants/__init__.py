"""Programs that make the same import, each in a separate process. They take the settings that segsync takes."""
