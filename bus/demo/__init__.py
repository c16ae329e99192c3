"""The demo: a synthetic municipality, and seventeen systems that publish and receive."""
