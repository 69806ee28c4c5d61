"""What answers when the model cannot: one file each."""
