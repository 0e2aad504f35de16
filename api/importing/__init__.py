"""Move clients in from other login services: read their files, and create the clients."""
