"""Silent trials: a model runs unseen beside the readers, and is judged by the reports that they sign."""
