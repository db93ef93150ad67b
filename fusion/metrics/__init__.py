"""Scores, calibration and significance of predictions: numpy, scipy, scikit-learn and statsmodels only."""
