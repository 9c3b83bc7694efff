"""Train and evaluate float networks, and fit ensembles of them."""
