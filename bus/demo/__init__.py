"""The main job, shown: a synthetic municipality, and seventeen systems that publish and receive."""
