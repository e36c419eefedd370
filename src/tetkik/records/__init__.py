"""What a house keeps: cases, images, reports, users, who did what. The only room with a database."""
