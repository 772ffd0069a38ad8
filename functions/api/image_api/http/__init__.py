"""What holds for every HTTP call, whatever the route."""
