"""What `wslab.doctor()` is made of: checks, a file each subject, and the report that shows them."""
