"""The studio: a local web app over the records of projects. It reads and starts processes; it never trains."""
