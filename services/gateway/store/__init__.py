"""The database and its one owner: schema, grouped writes, shared reads."""
