"""The main job, shown: a synthetic municipality, a core system, sixteen receiving systems."""
