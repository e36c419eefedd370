"""What is sent to other systems: the thread that sends it, and the page that shows how it was answered."""
