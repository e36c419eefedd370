"""How a thing looks: pages from templates, times, charts and marks in words, the slip of the desk."""
