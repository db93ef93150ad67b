"""SampleSets, folds, scalers and batches: the door between map and tensors; numpy only."""
