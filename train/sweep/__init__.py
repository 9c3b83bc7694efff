"""Search a recipe's fields with Optuna: many trainings, each an ordinary run folder, by one or many processes."""
