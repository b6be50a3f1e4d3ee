"""For people who review revisions: their SQL, their log, and a picture of them and the models."""
