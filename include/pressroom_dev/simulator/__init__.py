"""Offline stand-ins for what needs an account. Whatever they serve says that it is simulated."""
