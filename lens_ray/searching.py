"""The search for a merge, on warm replicas, resumable and within its budget: `search_merges`."""
