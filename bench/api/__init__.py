"""Our gateway beside the seed design's API: the same broker, the same machine, the same load."""
