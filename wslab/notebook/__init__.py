"""What a notebook is: its `cells`, and the `environment` that it runs in."""
