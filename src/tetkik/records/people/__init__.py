"""Users: accounts, signing in, sessions, and which cases they may open."""
