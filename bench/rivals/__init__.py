"""Other servers, each with a configuration and what it guarantees, and the loop that loads them and us alike."""
