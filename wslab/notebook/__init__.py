"""What a notebook is: its `cells` and their `owners`, its `page`, the `environment` around it."""
