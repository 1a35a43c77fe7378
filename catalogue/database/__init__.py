"""The catalogue in SQL, through SQLAlchemy 2 Core."""
