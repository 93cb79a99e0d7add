"""The mathematics: models, engine and weights; knows nothing of Ray, Prefect or SQL."""
