"""How often clients log in and fail, and when each credential was last used."""
