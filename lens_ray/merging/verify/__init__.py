"""Whether a merge is what it says, works, and harms nobody: tiers V0 to V5."""
