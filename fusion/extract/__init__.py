"""From a city's files to a SampleSet: chips, cubes, blocks."""
