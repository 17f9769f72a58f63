"""Fakes that users may use too: fake backend, tiny checkpoints, fault proxy, scripted provider.

Nothing is imported here: take what is needed from its module.
"""
