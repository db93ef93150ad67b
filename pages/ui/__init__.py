"""What pages share: caches, state, language, components."""
