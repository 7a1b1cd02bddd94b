"""The PostgreSQL store: many hosts on many machines share it. `engine` has the store; it needs psycopg."""
