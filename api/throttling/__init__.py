"""Rate limits on failed logins and on registrations."""
