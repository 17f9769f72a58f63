"""The search for a merge that beats the final checkpoint and the best single one."""
