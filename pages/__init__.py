"""The pages of the dashboard; each file draws one."""
