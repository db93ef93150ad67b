"""The three states of a count. They never merge: a reported zero is valid, and says what the other two do not."""

VALID, SUPPRESSED, MISSING = 0, 1, 2  # suppressed: too few people to publish
STATES = ("valid", "suppressed", "missing")  # the words of a release, by number
