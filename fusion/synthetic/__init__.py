"""The demo city: invented imagery and counts with a known answer.

Everything here is synthetic and every page says so. `demo.build_demo` makes the city, `ceilings` says how accurate any
rule can be on it, `tables` holds the frozen probabilities from which both follow.
"""
