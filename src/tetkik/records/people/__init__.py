"""Who works here: users, how they prove it, what is open in their name, which cases they may open."""
