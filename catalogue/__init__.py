"""The nouns and rules of the house, its errors, and the database that remembers them."""
