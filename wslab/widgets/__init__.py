"""What Servers and Clients look like: `views` says what there is to see, `plain` draws it as text
and HTML, `panels` as live widgets, and `live` keeps the widgets up to date.

Nothing is imported here: a widget is loaded when something is shown first.
"""
