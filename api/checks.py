"""What must not be configured: system checks with stable ids."""
