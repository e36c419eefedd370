"""How a caption is judged: the metrics of the field, equal to their reference programs."""
