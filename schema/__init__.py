"""What is seen: the GraphQL schema, its limits and its transport. No logic, no store."""
