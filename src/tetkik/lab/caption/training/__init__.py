"""How a captioner is trained: adapters on a frozen model whose image features are computed once."""
