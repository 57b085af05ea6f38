"""Person crops for training: shards, augmentation, batches."""
