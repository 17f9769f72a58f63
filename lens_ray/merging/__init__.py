"""Checkpoints made into one: recipes, methods, search, repair, verification.

Nothing here touches Ray; `lens_ray.searching` and `lens_ray.verifying` do, who put it together.
"""
