"""Signing in and out, passwords, the pages of administrators, and the audit trail."""
