"""What lathe hears in a master: tempo, key, scores and a vector, from one pass over its sound."""
