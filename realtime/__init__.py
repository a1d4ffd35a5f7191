"""What follows: everything in Redis. Derived from MongoDB, may be flushed at any moment, and is rebuilt."""
