"""What editors of things to send share: the attempts so far, and what each click becomes."""
