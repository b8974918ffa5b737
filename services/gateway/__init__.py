"""The gateway: the REST API and the one owner of the truth about jobs."""
