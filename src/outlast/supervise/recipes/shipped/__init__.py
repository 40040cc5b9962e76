"""The recipes that come with outlast: data only."""
