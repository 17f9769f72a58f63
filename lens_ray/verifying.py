"""Whether a merge may be shipped: `verify_merge`, tiers V0 to V5 and a policy."""
