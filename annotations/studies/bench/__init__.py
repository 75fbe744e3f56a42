"""The app under load: simulated raters over HTTP, and a count of what they left in the database."""
