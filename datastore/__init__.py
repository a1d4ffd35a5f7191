"""What is true: MongoDB records, rules and writes, and the stream of what happened. Knows no room above it."""
