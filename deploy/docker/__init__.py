"""What the images and docker-compose.yml need besides the services."""
